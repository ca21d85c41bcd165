"""The registry of metrics, and the answers to questions about them."""
