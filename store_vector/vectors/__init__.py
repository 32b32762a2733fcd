"""Exact search over vectors in memory."""
