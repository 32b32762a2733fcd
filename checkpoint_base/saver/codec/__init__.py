"""Encoding of checkpoints and values to records, and decoding."""
