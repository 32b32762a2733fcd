"""Plans, row formats and migrations shared by SQLite and Postgres."""
