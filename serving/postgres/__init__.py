"""Roles, views and logins of published marts on PostgreSQL."""
