"""Drivers over PyMongo's two clients, requests of plans, and the translation of errors."""
