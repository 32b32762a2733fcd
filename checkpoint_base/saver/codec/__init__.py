"""Checkpoints and values to records and back."""
