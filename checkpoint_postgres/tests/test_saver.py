"""How savers and stores end, and which pools they take."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg_pool import ConnectionPool

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.tests.lives import assert_aclosed, assert_closed, assert_ended
from checkpoint_postgres import (
    AsyncPostgresSaver,
    AsyncPostgresStore,
    PostgresSaver,
    PostgresStore,
)
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on, values
from conformance_tests.stores.base import value_of

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


# ---------------------------------------------------------------- as LangGraph's own are made


def test_in_the_pipeline_that_is_handed_over(database: PostgresHarness) -> None:
    """By place, as LangGraph's own saver takes it, or by name."""
    body = checkpoint({"a": 1})
    with psycopg.connect(database.url, autocommit=True) as connection:
        with connection.pipeline() as pipe:
            saver, store = PostgresSaver(connection, pipe), PostgresStore(connection, pipe=pipe)
            for one in (saver, store):
                one.setup()
                assert (one.conn, one.pipe) == (connection, pipe)
            for _ in range(3):  # the same statements again, behind those that made the schema
                saver.put(on("t"), body, metadata(), new_versions(body))
                store.put(("n",), "a", {"n": 1})
            assert values(saver.get_tuple(on("t"))) == {"a": 1}
            assert value_of(store.get(("n",), "a")) == {"n": 1}
        assert values(PostgresSaver(connection).get_tuple(on("t"))) == {"a": 1}


async def in_a_pipeline(url: str) -> None:
    body = checkpoint({"a": 1})
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
        connection.pipeline() as pipe,
    ):
        saver = AsyncPostgresSaver(connection, pipe)
        store = AsyncPostgresStore(connection, pipe=pipe)
        for one in (saver, store):
            await one.setup()
            assert (one.conn, one.pipe) == (connection, pipe)
            assert one.loop is asyncio.get_running_loop()
        for _ in range(3):
            await saver.aput(on("t"), body, metadata(), new_versions(body))
            await store.aput(("n",), "a", {"n": 1})
        assert values(await saver.aget_tuple(on("t"))) == {"a": 1}
        assert value_of(await store.aget(("n",), "a")) == {"n": 1}


def test_in_the_pipeline_that_is_handed_over_on_a_loop(database: PostgresHarness) -> None:
    asyncio.run(in_a_pipeline(database.url))


@pytest.mark.parametrize("kind", [PostgresSaver, PostgresStore])
def test_a_pool_has_no_pipeline(kind: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="pipe: wanted None with a pool"):
        kind(ConnectionPool("", open=False), pipe=object())


def test_a_serializer_by_place() -> None:
    serde = JsonPlusSerializer()
    assert PostgresSaver(ConnectionPool("", open=False), None, serde).serde is serde


def test_a_store_s_pool_under_the_name_that_langgraph_has_for_it(database_url: str) -> None:
    with PostgresStore.from_conn_string(database_url, pool_config={"max_size": 3}) as store:
        assert isinstance(store.conn, ConnectionPool)
        assert store.conn.max_size == 3
    both: dict[str, Any] = {"pool": {"max_size": 3}, "pool_config": {"max_size": 3}}
    with (
        pytest.raises(InvalidArgumentError, match="pool, pool_config: wanted one of both"),
        PostgresStore.from_conn_string(database_url, **both),
    ):
        pass
