"""Filters: operators, and keys for indexes."""
