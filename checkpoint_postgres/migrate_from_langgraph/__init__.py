"""`adopt`: threads out of the tables of LangGraph's own Postgres saver."""
