"""The option `deduplicate`, on every backend that has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoint_mongo import AsyncMongoDBSaver, MongoDBSaver
from checkpoint_postgres import AsyncPostgresSaver, PostgresSaver
from checkpoint_postgres.tests.harness import PostgresHarness, new_database
from checkpoint_redis import AsyncRedisSaver, RedisSaver
from checkpoint_redis.tests.harness import RedisHarness
from checkpoint_sqlite import AsyncSqliteSaver, SqliteSaver
from checkpoint_sqlite.tests.harness import SqliteHarness
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import Chain, on, values
from conformance_tests.samples.driver_adapter import SyncFacade
from tests.parameters import parameters_of

SAVERS = (
    *(SqliteSaver, AsyncSqliteSaver, PostgresSaver, AsyncPostgresSaver),
    *(RedisSaver, AsyncRedisSaver, MongoDBSaver, AsyncMongoDBSaver),
)


@pytest.mark.parametrize("saver", SAVERS)
def test_deduplicate_is_an_option_of_the_constructor_and_of_from_conn_string(saver: type) -> None:
    for call in (saver, saver.from_conn_string):  # type: ignore[attr-defined]
        (option,) = (each for each in parameters_of(call) if each.name == "deduplicate")
        assert option.default is True


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SaverHarness]:
    if request.param == "sqlite":
        yield SqliteHarness(tmp_path / "one.db")
    elif request.param == "postgres":
        yield PostgresHarness(new_database(request.getfixturevalue("postgres_server")))
    else:
        one = RedisHarness.new(request.getfixturevalue("redis_url"))
        yield one
        one.close()


@pytest.mark.parametrize("deduplicate", [True, False])
def test_deduplicate_off_stores_each_version_whole(
    harness: SaverHarness, deduplicate: bool
) -> None:
    with harness.open(deduplicate=deduplicate) as saver:
        chain, text, whole = Chain(SyncFacade(saver)), "", 0
        for turn in range(20):
            text += f"{turn:07} " * 500
            whole += len(text)
            chain.put({"text": text})
        stored = chain.saver.stats(chain.thread_id)["bytes"]
        assert (stored < whole / 2) is deduplicate
        newest = saver.get_tuple(on(chain.thread_id))
        assert values(newest) == {"text": text}
    with harness.open() as other:  # a reader does not need the option
        assert len(list(other.list(on(chain.thread_id)))) == 20
