"""Drivers, clients by URL, Lua scripts, and the translation of errors."""
