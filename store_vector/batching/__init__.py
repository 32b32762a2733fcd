"""Batching of store operations into few requests."""
