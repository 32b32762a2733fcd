"""A complete example backend: a directory with one file for each thread."""

from examples.file_backend.saver import FileSaver

__all__ = ["FileSaver"]
