"""Rows whose columns have another type than was stored, or text that is invalid UTF-8."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from checkpoint_base.errors import CorruptValueError
from checkpoint_sqlite import SqliteSaver
from conformance_tests.samples.build import Chain, large, on
from conformance_tests.samples.driver_adapter import SyncFacade

TEXTS = {
    "checkpoints": ["parent_id", "versions", "body_type", "metadata"],
    "values": ["type"],
    "writes": ["task_path", "channel", "type"],
}
BYTES = {
    "checkpoints": ["body", "link_checksum"],
    "values": ["data"],
    "writes": ["data"],
    "segments": ["digests", "data"],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def chain(path: Path) -> Iterator[Chain]:
    with SqliteSaver.from_conn_string(path) as saver:
        chain = Chain(SyncFacade(saver), "t")
        chain.put({"a": large(1), "small": 1})
        chain.write(("a", 2), path="a path")
        chain.put({"small": 2}, empty=["a"])
        yield chain


def reads(chain: Chain) -> dict[str, Callable[[], Any]]:
    return {
        "list": lambda: list(chain.saver.list(on("t"))),
        "delta history": lambda: chain.saver.get_delta_channel_history(
            config=chain.head, channels=["a"]
        ),
    }


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in TEXTS for column in TEXTS[table]]
)
def test_a_text_that_is_no_utf8_is_an_error(
    path: Path, chain: Chain, table: str, column: str
) -> None:
    change(path, f"UPDATE saver_{table} SET {column} = CAST(X'ff' || {column} AS TEXT)")
    with pytest.raises(CorruptValueError, match=f"column '{column}'"):
        reads(chain)["list"]()


@pytest.mark.parametrize("other", ["7", "'text'"])
@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in BYTES for column in BYTES[table]]
)
def test_a_column_of_another_type_is_an_error(
    path: Path, chain: Chain, table: str, column: str, other: str
) -> None:
    change(path, f"UPDATE saver_{table} SET {column} = {other}")
    read = "delta history" if column == "link_checksum" else "list"
    with pytest.raises(CorruptValueError):
        reads(chain)[read]()
