"""Rows of SQL databases, as they are read."""

import pytest

from checkpoint_base.errors import CorruptValueError
from checkpoint_base.saver.records.snapshot import ReadSnapshot
from checkpoint_base.sql.rows import add_value, checked_threads


def test_a_row_of_a_thread_that_was_not_asked_for_is_damaged() -> None:
    """SQLite finds a row by an index; which thread it belongs to is in the row, too."""
    row = (5, "", "channel", "v1", "msgpack", b"", None)
    with pytest.raises(CorruptValueError, match="thread is 5"):
        add_value(ReadSnapshot([]), checked_threads([]), row)
