"""The ASGI application: sign-in, sessions, the served home."""
