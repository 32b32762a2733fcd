"""What clauses put: values, hostile strings, chains of checkpoints; and how they compare."""
