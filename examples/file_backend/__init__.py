"""A fifth backend, in full: a directory with a file for each thread."""

from examples.file_backend.saver import FileSaver

__all__ = ["FileSaver"]
