"""The command-line tool `checkpoint-suite`, for operators, and archives of threads."""
