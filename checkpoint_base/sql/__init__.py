"""What SQLite and Postgres share, and migrations."""
