"""What network feeds delivered, encrypted, until the readers take it."""
