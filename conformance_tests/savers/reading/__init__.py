"""Clauses on reading and listing."""
