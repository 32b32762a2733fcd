"""A database, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from checkpoint_postgres import PostgresSaver
from checkpoint_postgres.tests.harness import KeptHarness, PostgresHarness, new_database


@pytest.fixture(scope="session")
def database_url(postgres_server: str) -> str:
    """One database for all tests that leave nothing behind: making one takes a while."""
    return new_database(postgres_server)


@pytest.fixture
def database(database_url: str) -> Iterator[PostgresHarness]:
    """An empty database on the real server."""
    one = PostgresHarness(database_url)
    yield one
    one.close()


@pytest.fixture(scope="session")
def kept_url(postgres_server: str) -> str:
    """A database that is set up."""
    url = new_database(postgres_server)
    with PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
    return url


@pytest.fixture
def kept(kept_url: str) -> Iterator[KeptHarness]:
    """Empty tables: for clauses that do not ask what `setup` does with a new database."""
    one = KeptHarness(kept_url)
    yield one
    one.close()


@pytest.fixture
def harness(database: PostgresHarness) -> PostgresHarness:
    """Under the name that reports know."""
    return database


@pytest.fixture
def url(database: PostgresHarness) -> str:
    """Of a database that is set up, and has a table of the caller's."""
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int)")
    return database.url
