"""The contract: version, clauses, capabilities, gaps, and the sources of the rules."""
