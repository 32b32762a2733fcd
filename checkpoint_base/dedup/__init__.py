"""Deduplication: large values are cut into chunks, and a thread stores each chunk once."""
