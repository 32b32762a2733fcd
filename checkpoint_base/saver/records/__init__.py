"""The records of a saver, their checksums, and what one read found."""
