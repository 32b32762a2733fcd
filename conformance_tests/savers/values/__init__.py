"""Clauses on what is put, and comes back."""
