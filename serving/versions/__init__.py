"""Published versions of a tenant: which there are, which are kept, and their health."""
