"""Reading moves an expiry; where that cannot be written, what was read is given all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from checkpoint_base.tests.load import arguments
from checkpoint_sqlite.tests.harness import SqliteHarness
from checkpoint_sqlite.tests.store_harness import SqliteStoreHarness
from conformance_tests.samples.build import on, values
from conformance_tests.samples.driver_adapter import FLAVOURS, Flavour, opened
from conformance_tests.stores.base import Numbers, index_of, keys, value_of
from conformance_tests.stores.facade import opened as opened_store

AT = ("n",)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A backup, say, or somebody's long transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


READS: dict[str, Callable[[Any], Any]] = {
    "get_tuple": lambda saver: values(saver.get_tuple(on("t"))),
    "list": lambda saver: [values(found) for found in saver.list(on("t"))],
    "delta history": lambda saver: saver.get_delta_channel_history(
        config=on("t"), channels=["step"]
    ),
}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", READS)
def test_a_thread_is_read_while_nobody_may_write(
    tmp_path: Path, flavour: Flavour, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, read = tmp_path / "a.db", READS[name]
    harness = SqliteHarness(path)
    ttl = {"default_ttl": 1}
    with opened(harness, flavour, ttl=ttl, busy_timeout=0.05) as saver:
        saver.put(*arguments("t", 1))
        saver.put(*arguments("t", 2))
        harness.advance(40)
        with locked(path):
            assert read(saver)
        (record,) = caplog.records
        assert "'t'" in record.getMessage()
        assert "locked" in record.getMessage()
        read(saver)
        harness.advance(40)
        assert values(saver.get_tuple(on("t"))) == {"step": 2}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", ["get", "search", "filter", "query"])
def test_an_item_is_read_while_nobody_may_write(
    tmp_path: Path, flavour: Flavour, name: str
) -> None:
    path = tmp_path / "a.db"
    harness = SqliteStoreHarness(path)
    ttl = {"default_ttl": 1, "omit_expired": True}
    options: dict[str, Any] = {"ttl": ttl, "index": index_of(harness, Numbers())}
    with opened_store(harness, flavour, busy_timeout=0.05, **options) as store:
        store.put(AT, "a", {"text": "1 0 0"})

        def read() -> list[str]:
            if name == "get":
                return ["a"] if value_of(store.get(AT, "a")) else []
            more: dict[str, Any] = {
                "filter": {"filter": {"text": "1 0 0"}},
                "query": {"query": "1"},
            }
            return keys(store.search(AT, **more.get(name, {})))

        harness.advance(40)
        with locked(path):
            assert read() == ["a"]
        assert read() == ["a"]
        harness.advance(40)
        assert read() == ["a"]
