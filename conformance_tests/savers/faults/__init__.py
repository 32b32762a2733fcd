"""Clauses about concurrency, outages, processes, permissions and hostile input."""
