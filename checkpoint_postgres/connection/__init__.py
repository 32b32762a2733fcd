"""Drivers, connections, and the translation of errors."""
