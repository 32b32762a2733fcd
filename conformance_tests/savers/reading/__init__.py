"""Clauses about reading and listing checkpoints."""
