"""Requests of many tasks on few connections."""
