"""A database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpoint_mongo.tests.harness import MongoHarness
from checkpoint_mongo.tests.unclosed import collected
from tests.servers.mongo import mongo


@pytest.fixture(autouse=True)
def unclosed() -> Iterator[None]:
    """What PyMongo leaves open is collected in the test in which it arises."""
    with collected():
        yield


@pytest.fixture
def database(mongo_server: str) -> Iterator[MongoHarness]:
    """An empty database on the server."""
    one = MongoHarness(mongo_server)
    yield one
    one.close()


@pytest.fixture
def harness(database: MongoHarness) -> MongoHarness:
    """Under the name that reports know."""
    return database


@pytest.fixture(scope="session")
def standalone() -> Iterator[str]:
    """A server without transactions."""
    with mongo("--standalone") as url:
        yield url


@pytest.fixture
def alone(standalone: str) -> Iterator[MongoHarness]:
    """An empty database on a server without transactions."""
    one = MongoHarness(standalone)
    yield one
    one.close()
