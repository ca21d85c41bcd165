"""Deliveries of network feeds, encrypted, until the readers take them."""
