"""Clauses about search: plain, filtered, and by vectors."""
