"""Landed batches into the raw tables that dbt reads."""
