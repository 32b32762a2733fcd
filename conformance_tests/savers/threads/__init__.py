"""Clauses on threads as such."""
