"""The commands of `checkpoint-suite`."""
