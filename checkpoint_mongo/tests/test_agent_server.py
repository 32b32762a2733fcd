"""LangGraph's own Agent Server on MongoDB."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from checkpoint_base.tests.test_agent_server import AgentServerTests


class TestMongoDB(AgentServerTests):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, mongo_server: str) -> Iterator[str]:
        name = f"saver_{secrets.token_hex(6)}"
        server, _, options = mongo_server.partition("/?")
        yield f"{server}/{name}?{options}"
        client: MongoClient[Any] = MongoClient(mongo_server)
        client.drop_database(name)
        client.close()

    @pytest.fixture(scope="class")
    @classmethod
    def store_url(cls, url: str) -> str:
        return url
