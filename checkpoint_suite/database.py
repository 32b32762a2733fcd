"""Opening of the database that a command's URL names, and conversion of errors to exit codes."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote, unquote

import typer
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoint_base.backends import open_cache, open_saver, open_store
from checkpoint_base.errors import BackendUnavailableError, CheckpointError, InvalidArgumentError
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_suite.output import errors
from store_vector.shell import SyncStore

F = TypeVar("F", bound=Callable[..., Any])

Url = Annotated[
    str,
    typer.Option("--url", envvar="CHECKPOINT_URL", help="the database", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="for programs, instead of a table")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask before anything is destroyed")]
Store = Annotated[bool, typer.Option("--store", help="the store")]
Cache = Annotated[bool, typer.Option("--cache", help="the cache")]

FAILED: Final = 1
PATIENCE: Final = 10.0
"""Timeout of each database call of a command, in seconds."""
_SECRET: Final = re.compile(r"(://[^/?#@\s]*:)[^/?#\s]*@")
_PARAMETER: Final = re.compile(
    r"(?i)((?:password|authMechanismProperties|tlsCertificateKeyFilePassword)=)[^&\s]+"
)


def shown(url: str) -> str:
    """Mask passwords in a URL, or in a text that may contain one."""
    return _PARAMETER.sub(r"\1***", _SECRET.sub(r"\1***@", url))


def failing_softly(command: F) -> F:
    """Decorate a command: a `CheckpointError` becomes one line on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except CheckpointError as error:
            said = " ".join(str(error).split())
            errors().print(f"error: {shown(said)}", markup=False, soft_wrap=True, highlight=False)
            raise typer.Exit(FAILED) from None

    return run  # type: ignore[return-value]


def plain_serializer() -> SerializerProtocol:
    """A serializer that imports no classes but LangGraph's and LangChain's own."""
    plain = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
    if "LANGGRAPH_AES_KEY" not in os.environ:
        return plain
    return EncryptedSerializer.from_pycryptodome_aes(plain)


@contextmanager
def saver_at(
    url: str, *, writes: bool = False, setup: bool = False, strategy: str = "delete"
) -> Iterator[FullSyncSaver]:
    """Open the saver that a URL names; without `setup`, it must be set up already.

    Args:
        url: of the database.
        writes: whether the command writes to the database.
        setup: create or migrate the schema.
        strategy: what a sweep does to expired threads; see `TTLPolicy`.
    """
    at = _checked(url, writes=writes, setup=setup)
    values = {"serde": plain_serializer(), "on_unreadable": "langgraph"}
    ttl = {"strategy": strategy}
    with open_saver(at, setup=setup, ttl=ttl, **_options(url), **values) as saver:
        yield saver


@contextmanager
def store_at(url: str, *, writes: bool = False, setup: bool = False) -> Iterator[SyncStore]:
    """Open the store that a URL names."""
    at = _checked(url, writes=writes, setup=setup)
    with open_store(at, setup=setup, **_options(url)) as store:
        yield store


@contextmanager
def cache_at(url: str, *, writes: bool = False, setup: bool = False) -> Iterator[Any]:
    """Open the cache that a URL names."""
    at = _checked(url, writes=writes, setup=setup)
    with open_cache(at, setup=setup, **_options(url)) as cache:
        yield cache


def _options(url: str) -> dict[str, Any]:
    """Short timeouts, and on Postgres no pool: a pool would retry a failing connection."""
    is_postgres = url.startswith("postgres")
    return {"call_timeout": PATIENCE, **({"pool": None} if is_postgres else {})}


def _checked(url: str, *, writes: bool, setup: bool) -> str:
    """The URL to open. A command that only reads opens a SQLite file read-only, and none but
    `setup` creates one.

    Raises:
        BackendUnavailableError: the SQLite file does not exist.
        InvalidArgumentError: it is a `memory:` URL, which has no data in a new process.
    """
    scheme, _, rest = url.partition(":///")
    if url.startswith("memory:"):
        raise InvalidArgumentError("url: memory:// is empty for every process that opens it")
    if scheme != "sqlite" or setup:
        return url
    path = Path(unquote(rest))
    if not path.is_file():
        raise BackendUnavailableError(f"there is no file {str(path)!r}")
    if writes:
        return url
    read_only = f"file:{quote(str(path.absolute()))}?mode=ro"
    return f"sqlite:///{quote(read_only)}"


def confirm(question: str, *, yes: bool) -> None:
    """Ask the user to confirm a deletion; scripts pass --yes instead."""
    if not yes:
        typer.confirm(question, abort=True, err=True)
