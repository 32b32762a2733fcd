"""What PyMongo leaves open. Closing an AsyncMongoClient cancels the task that watches the server: a
connection that it is just making to a server that is gone stays open (PYTHON-5867). Garbage
collection closes it, with a warning that would come up in whatever test runs by then.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Final, TypeVar

from checkpoint_mongo import AsyncMongoDBSaver, AsyncMongoDBStore

T = TypeVar("T", AsyncMongoDBSaver, AsyncMongoDBStore)

NEVER_CONNECTED: Final = r"unclosed <socket\.socket [^>]*proto=6, laddr=\([^)]*\)>$"
"""The text of the warning: sockets that are connected have an `raddr`, too."""

_abandoned: Final[list[str]] = []
"""The clients that were closed although their server was gone."""


@asynccontextmanager
async def noted(opened: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Open a saver or a store, and note at the end whether its server is gone."""
    async with opened as one:
        try:
            yield one
        finally:
            if not one.client.topology_description.has_known_servers:
                _abandoned.append(repr(one.client))


@contextmanager
def collected() -> Iterator[None]:
    """At the end, collect the sockets that the noted clients left open: no reference is left."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", NEVER_CONNECTED, ResourceWarning)
        yield
        if _abandoned:
            _abandoned.clear()
            gc.collect()
