"""Clauses about whole threads: delete, copy, prune, list, expire."""
