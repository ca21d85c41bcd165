"""Warehouse to published version of a tenant, switched as a whole."""
