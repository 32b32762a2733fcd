"""The records of a saver, their checksums and version keys, and snapshots of read rows."""
