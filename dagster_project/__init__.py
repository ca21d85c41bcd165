"""Clinicmart."""
