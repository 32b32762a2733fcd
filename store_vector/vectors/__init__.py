"""Exact vector search in memory."""
