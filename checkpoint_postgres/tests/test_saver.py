"""How savers and stores end, and which pools they take."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.tests.lives import assert_aclosed, assert_closed, assert_ended
from checkpoint_postgres import (
    AsyncPostgresSaver,
    AsyncPostgresStore,
    PostgresSaver,
    PostgresStore,
)

POOLS = [None, {"max_size": 2}]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", [PostgresSaver, PostgresStore])
def test_what_is_closed_says_so(kind: Any, pool: Any, database_url: str) -> None:
    assert_closed(kind.from_conn_string(database_url, pool=pool))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", [AsyncPostgresSaver, AsyncPostgresStore])
def test_what_is_closed_says_so_to_who_awaits(kind: Any, pool: Any, database_url: str) -> None:
    assert_aclosed(lambda: kind.from_conn_string(database_url, pool=pool))


@pytest.mark.parametrize("kind", [AsyncPostgresSaver, AsyncPostgresStore])
def test_what_belongs_to_a_loop_that_has_ended_says_so(kind: Any, database_url: str) -> None:
    async def make() -> Any:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            return kind(connection)

    assert_ended(make)


@pytest.mark.parametrize("pool", [5, True, "postgresql://ann:secret@host"])
def test_what_is_no_pool_s_options(pool: Any) -> None:
    with (
        pytest.raises(InvalidArgumentError, match=r"pool: wanted a dict.*'max_size'") as caught,
        PostgresSaver.from_conn_string("postgresql://127.0.0.1:1/x", pool=pool),
    ):
        pass
    assert "secret" not in str(caught.value)
