"""Clauses on outages, processes, permissions and hostile input."""
