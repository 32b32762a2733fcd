"""Many cancelled calls: nothing is logged as missed, and the next call works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checkpoint_base.tests.cancelling import (
    a_call_of_a_saver,
    a_call_of_a_store,
    for_a_loop,
    storm,
)
from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", [SqliteSaver, AsyncSqliteSaver, SqliteStore, AsyncSqliteStore])
def test_cancelled_at_random_points(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: Any, seed: int
) -> None:
    call = a_call_of_a_saver if kind.__name__.endswith("Saver") else a_call_of_a_store

    def opening() -> Any:
        opened = kind.from_conn_string(tmp_path / "saver.db", synchronous="off")
        return opened if kind.__name__.startswith("Async") else for_a_loop(opened)

    storm(opening, call, seed=seed)
    assert [record for record in caplog.records if record.name == "asyncio"] == []
