"""Schemes of other packages: `open_saver("mydb://…")` finds them by their entry points."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoint_base import (
    InvalidArgumentError,
    MissingDriverError,
    aopen_saver,
    open_saver,
    open_store,
)

MODULE = """
from contextlib import asynccontextmanager, contextmanager

from checkpoint_base import Backend, MemorySaver

opened = []


class MyDbSaver(MemorySaver):
    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string, *, size=1):
        opened.append((conn_string, size))
        yield cls()


class AsyncMyDbSaver(MemorySaver):
    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, conn_string, *, size=1):
        opened.append((conn_string, size))
        yield cls()

    async def setup(self):
        await self.asetup()


def target(url):
    return url.partition("://")[2]


BACKEND = Backend("mydb_savers", "MyDb", target=target, defaults={"size": 2})
AWAY = Backend("mydb_that_is_away", "MyDb")
WRONG = {"package": "mydb_savers"}
"""
POINTS = """[langgraph_checkpoint_suite.backends]
mydb = mydb_savers:BACKEND
mydb+tls = mydb_savers:BACKEND
away = mydb_savers:AWAY
wrong = mydb_savers:WRONG
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with a backend, as pip leaves it."""
    (tmp_path / "mydb_savers.py").write_text(MODULE)
    info = tmp_path / "mydb_savers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mydb-savers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("mydb_savers", None)


def opened() -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = sys.modules["mydb_savers"].opened
    return found


def test_a_registered_scheme_is_opened() -> None:
    with open_saver("mydb://host/agents") as saver:
        assert type(saver).__name__ == "MyDbSaver"
    with open_saver("mydb+tls://host/agents", size=3):
        pass
    assert opened() == [("host/agents", 2), ("host/agents", 3)]


def test_on_an_event_loop() -> None:
    async def name() -> str:
        async with aopen_saver("mydb://host") as saver:
            return type(saver).__name__

    assert asyncio.run(name()) == "AsyncMyDbSaver"


def test_what_a_backend_has_not_is_said() -> None:
    with (
        pytest.raises(InvalidArgumentError, match="mydb_savers has no MyDbStore"),
        open_store("mydb://"),
    ):
        pass


def test_a_backend_that_cannot_be_imported() -> None:
    with pytest.raises(MissingDriverError, match="mydb_that_is_away"), open_saver("away://host"):
        pass


def test_an_entry_point_that_is_no_backend() -> None:
    with (
        pytest.raises(InvalidArgumentError, match="no Backend, but of type dict"),
        open_saver("wrong://"),
    ):
        pass


def test_a_scheme_that_nobody_registered() -> None:
    with (
        pytest.raises(InvalidArgumentError, match="unknown scheme 'nodb://'"),
        open_saver("nodb://"),
    ):
        pass
