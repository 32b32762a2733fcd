"""Threads as a whole: listed, found by their newest checkpoint, imported from elsewhere."""
