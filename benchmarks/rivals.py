"""The savers that are compared, each opened as its own documentation says."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver as LangGraphSqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver as LangGraphAsyncSqliteSaver

from checkpoint_sqlite import AsyncSqliteSaver, SqliteSaver

Saver: TypeAlias = BaseCheckpointSaver[Any]


@dataclass(frozen=True)
class Rival:
    """One saver of the comparison; both openers take the path of a database file."""

    name: str
    package: str
    open: Callable[[Path], AbstractContextManager[Saver]]
    aopen: Callable[[Path], AbstractAsyncContextManager[Saver]]

    @property
    def version(self) -> str:
        return f"{self.package} {importlib.metadata.version(self.package)}"


@contextlib.contextmanager
def _ours(path: Path) -> Iterator[Saver]:
    with SqliteSaver.from_conn_string(str(path)) as saver:
        saver.setup()
        yield saver


@contextlib.asynccontextmanager
async def _ours_async(path: Path) -> AsyncIterator[Saver]:
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        await saver.setup()
        yield saver


@contextlib.contextmanager
def _langgraphs(path: Path) -> Iterator[Saver]:
    with LangGraphSqliteSaver.from_conn_string(str(path)) as saver:
        saver.setup()
        yield saver


@contextlib.asynccontextmanager
async def _langgraphs_async(path: Path) -> AsyncIterator[Saver]:
    async with LangGraphAsyncSqliteSaver.from_conn_string(str(path)) as saver:
        await saver.setup()
        yield saver


OURS = Rival("this suite", "langgraph-checkpoint-suite", _ours, _ours_async)
LANGGRAPHS = Rival("LangGraph's", "langgraph-checkpoint-sqlite", _langgraphs, _langgraphs_async)
RIVALS = (OURS, LANGGRAPHS)


def database_bytes(path: Path) -> int:
    """Size of the database: all pages, including those that are still in the write-ahead log."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (pages,) = connection.execute("pragma page_count").fetchone()
        (page_size,) = connection.execute("pragma page_size").fetchone()
    return int(pages) * int(page_size)
