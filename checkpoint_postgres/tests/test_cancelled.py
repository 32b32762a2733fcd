"""Many cancelled calls, beside cut and silent connections: nothing is logged as missed."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from checkpoint_base.tests.cancelling import (
    a_call_of_a_saver,
    a_call_of_a_store,
    for_a_loop,
    storm,
)
from checkpoint_postgres import AsyncPostgresSaver, AsyncPostgresStore, PostgresSaver, PostgresStore
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.faults import Proxy


@pytest.mark.parametrize("fault", ["cut", "swallow"])
@pytest.mark.parametrize("pool", [{"max_size": 4}, None], ids=["pool", "one connection"])
@pytest.mark.parametrize(
    "kind", [PostgresSaver, AsyncPostgresSaver, PostgresStore, AsyncPostgresStore]
)
def test_cancelled_at_random_points(
    database: PostgresHarness, caplog: pytest.LogCaptureFixture, kind: Any, pool: Any, fault: str
) -> None:
    call = a_call_of_a_saver if kind.__name__.endswith("Saver") else a_call_of_a_store
    with (
        kind.from_conn_string(database.url)
        if not kind.__name__.startswith("Async")
        else (PostgresSaver if call is a_call_of_a_saver else PostgresStore).from_conn_string(
            database.url
        )
    ) as one:
        one.setup()
    with Proxy(*database.address()) as proxy:
        url = database.url.replace(f":{urlsplit(database.url).port}", f":{proxy.port}", 1)

        def opening() -> Any:
            opened = kind.from_conn_string(url, pool=pool, call_timeout=1.0)
            return opened if kind.__name__.startswith("Async") else for_a_loop(opened)

        storm(opening, call, getattr(proxy, fault))
    assert [record for record in caplog.records if record.name == "asyncio"] == []
