"""A saver and a store on LMDB that use LangGraph's base classes, and none of this project's."""
