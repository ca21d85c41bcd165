"""Who may sign in, what each role may see, and the audit log."""
