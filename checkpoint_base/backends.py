"""Open a saver, store or cache by URL: `open_saver("sqlite:///agent.db")`, `open_store(…)`, …"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, unquote

from checkpoint_base.cache.memory import MemoryCache
from checkpoint_base.cache.shell import Cache, SyncCache
from checkpoint_base.errors import InvalidArgumentError, MissingDriverError
from checkpoint_base.memory.saver import MemorySaver
from checkpoint_base.saver.mixins import FullSaver, FullSyncSaver

if TYPE_CHECKING:
    from store_vector.shell import Store, SyncStore

M = TypeVar("M", MemorySaver, MemoryCache)


@dataclass(frozen=True)
class Backend:
    """The classes that implement savers, stores and caches for a URL scheme.

    Another package registers a backend as an entry point of the group
    `langgraph_checkpoint_suite.backends`, named like the scheme: `mydb = "mypkg:BACKEND"`.

    Attributes:
        package: the package that contains the classes; imported when a URL is opened.
        prefix: the classes' common name: `MyDb` for `MyDbSaver`, `AsyncMyDbSaver`, `MyDbStore` and
            `MyDbCache`. Each class that exists has `setup()`, and the context manager
            `from_conn_string`.
        extra: this distribution's extra that installs the driver; None: another distribution does.
        target: converts the URL to the first argument of `from_conn_string`.
        defaults: default options for `from_conn_string`.
    """

    package: str
    prefix: str
    extra: str | None = None
    target: Callable[[str], str] = str
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def open(self, name: str, url: str, options: Mapping[str, Any]) -> Any:
        """Open this backend's class `name`: `Saver`, `AsyncSaver`, `Store`, …"""
        kind = name.removeprefix("Async")
        prefix = name.removesuffix(kind)
        return self._load(f"{prefix}{self.prefix}{kind}").from_conn_string(
            self.target(url), **{**self.defaults, **options}
        )

    def _load(self, name: str) -> Any:
        try:
            return getattr(import_module(self.package), name)
        except ImportError as error:
            if self.extra is None:
                raise MissingDriverError(f"{self.package} cannot be imported: {error}") from error
            raise MissingDriverError.of(self.package, self.extra) from error
        except AttributeError as error:
            raise InvalidArgumentError(f"url: {self.package} has no {name}") from error


def _sqlite_path(url: str) -> str:
    path = url.partition("://")[2]
    if not path.startswith("/") or path == "/":
        raise InvalidArgumentError(
            "url: wanted sqlite:///relative.db, sqlite:////absolute.db or sqlite:///:memory:, "
            "got one with a host, or without a path"
        )
    if "?" in path:
        raise InvalidArgumentError(
            "url: sqlite:// takes no options behind a '?': they are arguments, such as "
            "busy_timeout=5; in a file's name a '?' is written %3F"
        )
    return unquote(path[1:])


GROUP: Final = "langgraph_checkpoint_suite.backends"
"""Entry point group in which other packages register their URL schemes."""
_SCHEME: Final = re.compile("[A-Za-z][A-Za-z0-9+.-]*")
_POSTGRES: Final = Backend("checkpoint_postgres", "Postgres", "postgres", str, {"pool": {}})
_REDIS: Final = Backend("checkpoint_redis", "Redis", "redis", str)
_MONGO: Final = Backend("checkpoint_mongo", "MongoDB", "mongo", str)
_BACKENDS: Final = {
    "sqlite": Backend("checkpoint_sqlite", "Sqlite", "sqlite", _sqlite_path),
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "redis+cluster": _REDIS,
    "rediss+cluster": _REDIS,
    "redis+sentinel": _REDIS,
    "rediss+sentinel": _REDIS,
    "mongodb": _MONGO,
    "mongodb+srv": _MONGO,
}


_KNOWN: Final = "memory, sqlite, postgresql, redis, mongodb"
"""One scheme per database, for error messages; the other schemes are aliases."""


def _backend(url: str) -> Backend | None:
    if not isinstance(url, str):
        raise _no_text(url)
    scheme, separator, rest = url.partition("://")
    if not separator:
        # do not echo the URL: it may contain a password
        raise InvalidArgumentError(
            f"url: wanted one with a scheme, one of {_KNOWN}; a file is sqlite:///agent.db"
        )
    if scheme == "memory":
        if rest:
            raise InvalidArgumentError("url: wanted memory:// and nothing behind it")
        return None
    if scheme not in _BACKENDS:
        if registered := entry_points(group=GROUP, name=scheme):
            return _loaded(registered[scheme])
        given = f" {scheme + separator!r}" if _SCHEME.fullmatch(scheme) else ""
        raise InvalidArgumentError(f"url: unknown scheme{given}; known: {_KNOWN}")
    return _BACKENDS[scheme]


def _loaded(point: EntryPoint) -> Backend:
    found = point.load()
    if not isinstance(found, Backend):
        raise InvalidArgumentError(
            f"url: the entry point {point.value!r} of the scheme {point.name!r} is no Backend, but "
            f"of type {type(found).__name__}"
        )
    return found


def _no_text(url: object) -> InvalidArgumentError:
    if isinstance(url, PathLike):
        return InvalidArgumentError(f"url: a file is 'sqlite:///{quote(fspath(url))}', got a path")
    return InvalidArgumentError(
        f"url: wanted text such as 'sqlite:///agent.db', got {type(url).__name__}"
    )


@contextmanager
def _in_memory(made: M) -> Iterator[M]:
    """The counterpart of the other backends' `from_conn_string`."""
    try:
        yield made
    finally:
        made._end()


@contextmanager
def open_saver(url: str, *, setup: bool = True, **options: Any) -> Iterator[FullSyncSaver]:
    """Context manager that opens the saver at a URL, sets it up, and closes it on exit.

    Args:
        url: `postgresql://user@host/database` (a pool of up to 10 connections, or as `pool`
            configures), `redis://host:port/db` (or another URL that `RedisSaver.from_conn_string`
            accepts), `mongodb://host`, `sqlite:///path.db`, `sqlite:///:memory:` or `memory://`.
        setup: False skips `setup()`; the database must have been set up before. SQLite sets itself
            up on first use anyway.
        options: for the backend's `from_conn_string`: `serde`, `ttl` (minutes), and its own.

    Raises:
        InvalidArgumentError: the URL is invalid, or its scheme is unknown.
        MissingDriverError: the backend's driver is not installed.
    """
    backend = _backend(url)
    opened: AbstractContextManager[FullSyncSaver]
    if backend is None:
        opened = _in_memory(MemorySaver(**options))
    else:
        opened = backend.open("Saver", url, options)
    with opened as saver:
        if setup:
            saver.setup()
        yield saver


@asynccontextmanager
async def aopen_saver(url: str, *, setup: bool = True, **options: Any) -> AsyncIterator[FullSaver]:
    """`open_saver`, for an event loop."""
    backend = _backend(url)
    if backend is None:
        with _in_memory(MemorySaver(**options)) as in_memory:
            yield in_memory
        return
    opened = backend.open("AsyncSaver", url, options)
    async with opened as saver:
        if setup:
            await saver.setup()
        yield saver


@contextmanager
def open_store(url: str, *, setup: bool = True, **options: Any) -> Iterator[SyncStore]:
    """Context manager that opens the store at a URL, sets it up, and closes it on exit.

    Args:
        url: as in `open_saver`, except `memory://`, which has no store.
        setup: as in `open_saver`.
        options: for the backend's `from_conn_string`: `index`, `ttl` (minutes), and its own.

    Raises:
        InvalidArgumentError: the URL is invalid or `memory://`, or its scheme is unknown.
        MissingDriverError: the backend's driver is not installed.
    """
    opened = _backend_with_store(url).open("Store", url, options)
    with opened as store:
        if setup:
            store.setup()
        yield store


@asynccontextmanager
async def aopen_store(url: str, *, setup: bool = True, **options: Any) -> AsyncIterator[Store]:
    """`open_store`, for an event loop."""
    opened = _backend_with_store(url).open("AsyncStore", url, options)
    async with opened as store:
        if setup:
            await store.setup()
        yield store


@contextmanager
def open_cache(url: str, *, setup: bool = True, **options: Any) -> Iterator[SyncCache]:
    """Context manager that opens the cache at a URL, sets it up, and closes it on exit.

    Args:
        url: as in `open_saver`.
        setup: as in `open_saver`.
        options: for the backend's `from_conn_string`: `serde`, `max_bytes`, and its own.

    Raises:
        InvalidArgumentError: the URL is invalid, or its scheme is unknown.
        MissingDriverError: the backend's driver is not installed.
        BackendUnavailableError: the database cannot be reached.
    """
    backend = _backend(url)
    opened: AbstractContextManager[SyncCache]
    if backend is None:
        opened = _in_memory(MemoryCache(**options))
    else:
        opened = backend.open("Cache", url, options)
    with opened as cache:
        if setup:
            cache.setup()
        yield cache


@asynccontextmanager
async def aopen_cache(url: str, *, setup: bool = True, **options: Any) -> AsyncIterator[Cache]:
    """`open_cache`, for an event loop."""
    backend = _backend(url)
    if backend is None:
        with _in_memory(MemoryCache(**options)) as in_memory:
            yield in_memory
        return
    async with backend.open("AsyncCache", url, options) as cache:
        if setup:
            await cache.asetup()
        yield cache


def _backend_with_store(url: str) -> Backend:
    backend = _backend(url)
    if backend is None:
        raise InvalidArgumentError(
            "url: memory:// has no store here; LangGraph's own InMemoryStore is one"
        )
    return backend
