"""Clauses on items and namespaces."""
