"""Opens the source message of a row and masks it."""
