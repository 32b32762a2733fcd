"""Clauses about items, batches, namespaces and TTL."""
