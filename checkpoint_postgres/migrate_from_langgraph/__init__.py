"""`adopt`: copies threads from the tables of LangGraph's own Postgres saver."""
