"""How savers and stores end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from checkpoint_base.tests.lives import assert_aclosed, assert_closed, assert_ended
from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore


@pytest.mark.parametrize("kind", [SqliteSaver, SqliteStore])
def test_what_is_closed_says_so(kind: Any, tmp_path: Path) -> None:
    assert_closed(kind.from_conn_string(tmp_path / "a.db"))


@pytest.mark.parametrize("kind", [AsyncSqliteSaver, AsyncSqliteStore])
def test_what_is_closed_says_so_to_who_awaits(kind: Any, tmp_path: Path) -> None:
    assert_aclosed(lambda: kind.from_conn_string(tmp_path / "a.db"))


@pytest.mark.parametrize("kind", [AsyncSqliteSaver, AsyncSqliteStore])
def test_what_belongs_to_a_loop_that_has_ended_says_so(kind: Any, tmp_path: Path) -> None:
    async def make() -> Any:
        async with aiosqlite.connect(tmp_path / "a.db") as connection:
            return kind(connection)

    assert_ended(make)
