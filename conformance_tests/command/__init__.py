"""The command `checkpoint-conformance`: arguments, supervised worker processes, output."""
