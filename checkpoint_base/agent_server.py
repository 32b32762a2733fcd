"""LangGraph's Agent Server (`langgraph dev`, `langgraph up`) on any backend of this suite.

`langgraph.json` names the context manager below; where to store and for how long stands in the
environment, so that one file serves every deployment:

    "checkpointer": {"path": "checkpoint_base.agent_server.checkpointer"}

    CHECKPOINT_URL=sqlite:///agent.db
    CHECKPOINT_TTL={"strategy": "delete", "default_ttl": 43200, "sweep_interval_minutes": 60}
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver import Saver
from checkpoint_base.ttl import TTLPolicy
from checkpoint_base.urls import aopen_saver


@asynccontextmanager
async def checkpointer() -> AsyncIterator[Saver]:
    """The saver that `CHECKPOINT_URL` names, set up, and swept while the server runs.

    The server enters it once per event loop that runs graphs, and leaves it when it shuts down.
    The sweeper runs only with `CHECKPOINT_TTL`, LangGraph's TTL shape as JSON, in minutes.

    Raises:
        InvalidArgumentError: `CHECKPOINT_URL` is missing or of no known scheme, or
            `CHECKPOINT_TTL` is not that shape.
        MissingDriverError: the backend's driver is not installed.
    """
    url, ttl = _url(), _ttl()
    async with aopen_saver(url, ttl=ttl) as saver:
        if ttl is None:
            yield saver
            return
        await saver.astart_ttl_sweeper()
        try:
            yield saver
        finally:
            await saver.astop_ttl_sweeper()


def _url() -> str:
    if url := os.environ.get("CHECKPOINT_URL", "").strip():
        return url
    raise InvalidArgumentError(
        "CHECKPOINT_URL: not set; wanted the URL of a database, such as sqlite:///agent.db"
    )


def _ttl() -> TTLPolicy | None:
    given = os.environ.get("CHECKPOINT_TTL", "").strip()
    if not given:
        return None
    try:
        shape = json.loads(given)
        if not isinstance(shape, dict):
            raise InvalidArgumentError(f"wanted a JSON object, got a JSON {type(shape).__name__}")
        return TTLPolicy.of(shape)
    except (json.JSONDecodeError, InvalidArgumentError) as error:
        raise InvalidArgumentError(
            f'CHECKPOINT_TTL: wanted JSON such as {{"default_ttl": 43200}} (minutes): {error}'
        ) from error
