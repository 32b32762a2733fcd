"""LangGraph's own Agent Server on MongoDB."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpoint_base.tests.test_agent_server import AgentServerTests
from checkpoint_mongo.tests.harness import drop_database, new_database


class TestMongoDB(AgentServerTests):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, postgres_server: str) -> Iterator[str]:
        url = new_database(postgres_server)
        yield url
        drop_database(url)
