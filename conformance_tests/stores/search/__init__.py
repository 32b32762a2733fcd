"""Clauses on searches."""
