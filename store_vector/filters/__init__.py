"""Filters of `search`: operators, and index keys for pre-selection in the database."""
