"""Test data of clauses (values, hostile strings, checkpoints), adapters and comparison."""
