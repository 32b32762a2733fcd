"""The contract: its version, its clauses, capabilities, gaps and sources."""
