"""Clauses about the storage of checkpoints, values and writes."""
