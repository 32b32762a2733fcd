"""What goes over the network: round trips and bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    asynccontextmanager,
    contextmanager,
)
from typing import Any
from urllib.parse import urlsplit

import pytest

from checkpoint_postgres import AsyncPostgresSaver, PostgresSaver
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.faults import Proxy
from conformance_tests.samples.build import Chain, large, on
from conformance_tests.samples.driver_adapter import FLAVOURS, Facade, opened


class ThroughProxy(PostgresHarness):
    """Opens savers on one connection through a proxy."""

    def __init__(self, url: str, proxy: Proxy) -> None:
        super().__init__(url)
        self.pooler = url.replace(f":{urlsplit(url).port}", f":{proxy.port}", 1)

    @contextmanager
    def open(self, **options: Any) -> Iterator[PostgresSaver]:
        with PostgresSaver.from_conn_string(self.pooler, pipeline=True, **options) as saver:
            saver.setup()
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncPostgresSaver]:
        saving = AsyncPostgresSaver.from_conn_string(self.pooler, pipeline=True, **options)
        async with saving as saver:
            await saver.setup()
            yield saver


@pytest.fixture(params=FLAVOURS)
def counted_saver(
    request: pytest.FixtureRequest, database: PostgresHarness
) -> Iterator[tuple[Facade, Proxy]]:
    parts = urlsplit(database.url)
    with (
        Proxy(str(parts.hostname), int(str(parts.port)), delay=0.005) as proxy,
        opened(ThroughProxy(database.url, proxy), request.param) as saver,
    ):
        yield saver, proxy


def test_each_operation_is_one_round_trip(counted_saver: tuple[Facade, Proxy]) -> None:
    saver, proxy = counted_saver
    chain = Chain(saver, "t")

    def put_writes() -> None:
        chain.write(("log", large(1, 30_000)), task=f"task {chain.step}")

    def deleted() -> None:
        saver.delete_thread("t")
        saver.delete_thread("nobody")

    operations: dict[str, tuple[int, Callable[[], Any]]] = {
        "put": (1, lambda: chain.put({"log": large(1) + large(chain.step), "n": chain.step})),
        "put_writes": (1, put_writes),
        "get_tuple": (1, lambda: saver.get_tuple(on("t"))),
        "get_tuple of one": (1, lambda: saver.get_tuple(chain.head)),
        "list": (1, lambda: list(saver.list(on("t"), limit=10))),
        "list with a filter": (1, lambda: list(saver.list(on("t"), filter={"step": 2}, limit=1))),
        "list_threads": (1, saver.list_threads),
        "list_threads with a filter": (1, lambda: saver.list_threads(filter={"step": 2})),
        "delete_thread": (2, deleted),
    }
    for prepared in (False, True):  # statements are prepared on their first use
        chain = Chain(saver, "t")
        for name, (expected, operation) in operations.items():
            for _ in range(3 if name == "put" else 1):
                with proxy.counting() as counted:
                    operation()
            if prepared:
                assert counted.round_trips == expected, name


def test_values_are_fetched_only_of_what_matches(counted_saver: tuple[Facade, Proxy]) -> None:
    saver, proxy = counted_saver
    chain = Chain(saver, "t")
    for step in range(20):
        chain.put({"log": large(step, 30_000)}, tags=[step])
    for wanted, found in (({"tags": [3]}, [3]), ({"tags": [-1]}, []), ({"step": -1}, [])):
        with proxy.counting() as counted:
            assert [one.metadata["step"] for one in saver.list(on("t"), filter=wanted)] == found
        assert counted.sent["client"] < 20_000 + 31_000 * len(found)
