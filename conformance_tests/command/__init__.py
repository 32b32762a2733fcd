"""`checkpoint-conformance`: the command, its supervision, what it shows."""
