"""Checkpointer and store for LangGraph's Agent Server (`langgraph dev`, `langgraph up`).

`langgraph.json` names the context managers below. Environment variables set the database URL and
the TTL, so that one file serves every deployment:

    "checkpointer": {"path": "checkpoint_base.agent_server.checkpointer"},
    "store": {"path": "checkpoint_base.agent_server.store"}

    CHECKPOINT_URL=sqlite:///agent.db
    CHECKPOINT_TTL={"strategy": "delete", "default_ttl": 43200, "sweep_interval_minutes": 60}
    STORE_INDEX={"dims": 1536, "embed": "openai:text-embedding-3-small", "fields": ["text"]}
    STORE_TTL={"default_ttl": 43200, "sweep_interval_minutes": 60}
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from checkpoint_base.backends import aopen_saver, aopen_store, open_saver
from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.codec.agent_server_serde import needs_threads, serializer
from checkpoint_base.saver.mixins import FullSaver
from checkpoint_base.saver.ttl.policy import TTLPolicy

_THREADS: Final = 32  # maximum number of concurrent calls that wait for encryption

if TYPE_CHECKING:
    from store_vector.shell import Store


@asynccontextmanager
async def checkpointer() -> AsyncIterator[FullSaver]:
    """Open and set up the saver at `CHECKPOINT_URL`, and run its TTL sweeper.

    The server enters this once per event loop that runs graphs, and exits it on shutdown. The
    sweeper runs only if `CHECKPOINT_TTL` is set: LangGraph's TTL mapping as JSON, in minutes.
    Values are encrypted if the server configures `encryption` or `LANGGRAPH_AES_KEY`.

    Raises:
        InvalidArgumentError: `CHECKPOINT_URL` is missing or has an unknown scheme, `CHECKPOINT_TTL`
            is invalid, or the configured encryption cannot be applied.
        MissingDriverError: the backend's driver, or pycryptodome, is not installed.
    """
    url, ttl = _url("CHECKPOINT_URL"), _ttl()
    serde = await asyncio.to_thread(serializer, asyncio.get_running_loop())
    opened = _in_threads if needs_threads(serde) else aopen_saver
    async with opened(url, ttl=ttl, serde=serde) as saver:
        if ttl is None:
            yield saver
            return
        await saver.astart_ttl_sweeper()
        try:
            yield saver
        finally:
            await saver.astop_ttl_sweeper()


@asynccontextmanager
async def _in_threads(url: str, **options: Any) -> AsyncIterator[FullSaver]:
    """A saver whose async methods run in a dedicated thread pool: `ServerCipher` blocks these
    threads while the event loop runs the encryption handlers, which may need the default pool.
    """
    loop, stack = asyncio.get_running_loop(), ExitStack()
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="checkpointer")
    try:
        context = open_saver(url, **options)
        saver = await loop.run_in_executor(threads, stack.enter_context, context)
        saver._executor = threads
        try:
            yield saver
        finally:
            await loop.run_in_executor(threads, stack.close)
    finally:
        threads.shutdown(wait=False)  # all are idle, and waiting would block the event loop


@asynccontextmanager
async def store() -> AsyncIterator[Store]:
    """Open and set up the store at `STORE_URL` (or `CHECKPOINT_URL`), and run its TTL sweeper.

    `STORE_INDEX` is LangGraph's `IndexConfig` as JSON; its `embed` is a `provider:model` string, or
    the dotted path of a function or an `Embeddings`, such as `my_agent.embedding.embed`.
    `STORE_TTL` is LangGraph's `TTLConfig` as JSON, in minutes; without it no sweeper runs.

    Raises:
        InvalidArgumentError: the URL is missing or has an unknown scheme, or the index or the TTL
            is invalid.
        MissingDriverError: the backend's driver is not installed.
    """
    url = _url("STORE_URL", "CHECKPOINT_URL")
    ttl = _json("STORE_TTL", '{"default_ttl": 43200}')
    async with aopen_store(url, index=_index(), ttl=ttl) as opened:
        if ttl is not None:
            await opened.astart_ttl_sweeper()  # closing the store stops it
        yield opened


def _url(*names: str) -> str:
    for name in names:
        if url := os.environ.get(name, "").strip():
            return url
    raise InvalidArgumentError(
        f"{names[0]}: not set; wanted the URL of a database, such as sqlite:///agent.db"
    )


def _json(name: str, example: str) -> dict[str, Any] | None:
    given = os.environ.get(name, "").strip()
    if not given:
        return None
    try:
        shape = json.loads(given)
        if not isinstance(shape, dict):
            raise InvalidArgumentError(f"wanted a JSON object, got a JSON {type(shape).__name__}")
    except (json.JSONDecodeError, InvalidArgumentError) as error:
        raise InvalidArgumentError(f"{name}: wanted JSON such as {example}: {error}") from error
    return shape


def _ttl() -> TTLPolicy | None:
    example = '{"default_ttl": 43200} (minutes)'
    shape = _json("CHECKPOINT_TTL", example)
    try:
        return None if shape is None else TTLPolicy.of(shape)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"CHECKPOINT_TTL: wanted JSON such as {example}: {error}"
        ) from error


def _index() -> dict[str, Any] | None:
    shape = _json("STORE_INDEX", '{"dims": 1536, "embed": "openai:text-embedding-3-small"}')
    embed = None if shape is None else shape.get("embed")
    if shape is None or not isinstance(embed, str) or ":" in embed:
        return shape
    module, _, name = embed.rpartition(".")
    try:
        return {**shape, "embed": getattr(import_module(module), name)}
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidArgumentError(
            "STORE_INDEX: wanted 'embed' to be 'provider:model' or the dotted path of a function, "
            f"got {embed!r}: {error}"
        ) from error
