"""LangGraph's own Agent Server on Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpoint_base.tests.test_agent_server import AgentServerTests
from tests.servers.redis import redis_server


class TestRedis(AgentServerTests):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with redis_server() as url:
            yield url
