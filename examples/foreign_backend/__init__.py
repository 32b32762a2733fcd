"""A saver and a store on LMDB, as a stranger writes them: against LangGraph's base classes."""
