"""What operators use: the command `checkpoint-suite`."""
