"""A database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpoint_postgres.tests.harness import PostgresHarness, new_database


@pytest.fixture
def database(postgres_server: str) -> Iterator[PostgresHarness]:
    """An empty database on the real server."""
    one = PostgresHarness(new_database(postgres_server))
    yield one
    one.close()


@pytest.fixture
def harness(database: PostgresHarness) -> PostgresHarness:
    """Under the name that reports know."""
    return database
