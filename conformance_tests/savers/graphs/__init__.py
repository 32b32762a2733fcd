"""Clauses that run compiled graphs."""
