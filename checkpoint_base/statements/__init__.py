"""Plans over named statements, whose language is the backend's: SQL, or commands of MongoDB."""
