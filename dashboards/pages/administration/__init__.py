"""The page Administration: who may sign in and as what, and what was done."""
