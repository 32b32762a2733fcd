"""Threads as a whole: list them, and find them by what their newest checkpoint says."""
