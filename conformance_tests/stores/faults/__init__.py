"""Clauses about concurrency, outages, processes and permissions."""
