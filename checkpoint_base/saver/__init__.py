"""Checkpoint savers: the code that all backends share."""
