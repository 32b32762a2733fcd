"""The in-memory saver, which is the reference backend of the tests."""
