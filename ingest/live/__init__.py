"""What senders said today, for the page Today: read by the same readers as runs, a few seconds after it arrived."""
