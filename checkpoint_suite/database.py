"""The database of a command: its URL, and what is said when it cannot be reached."""

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
"""Seconds that a step of a command may take."""
_SECRET: Final = re.compile(r"(://[^/?#@\s]*:)[^/?#\s]*@")
_PARAMETER: Final = re.compile(
    r"(?i)((?:password|authMechanismProperties|tlsCertificateKeyFilePassword)=)[^&\s]+"
)


def shown(url: str) -> str:
    """A URL, or a text that may have one in it, without passwords."""
    return _PARAMETER.sub(r"\1***", _SECRET.sub(r"\1***@", url))


def failing_softly(command: F) -> F:
    """An error of the database, or of what it was asked, is one line and exit code 1."""

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
    """Reads values without importing what is not LangGraph's or LangChain's own."""
    plain = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
    if "LANGGRAPH_AES_KEY" not in os.environ:
        return plain
    return EncryptedSerializer.from_pycryptodome_aes(plain)


@contextmanager
def saver_at(url: str, *, writes: bool = False, setup: bool = False) -> Iterator[FullSyncSaver]:
    """The saver that a URL names, as it was set up before."""
    at = _checked(url, writes=writes, setup=setup)
    values = {"serde": plain_serializer(), "on_unreadable": "langgraph"}
    with open_saver(at, setup=setup, **_options(url), **values) as saver:
        yield saver


@contextmanager
def store_at(url: str, *, writes: bool = False, setup: bool = False) -> Iterator[SyncStore]:
    """The store that a URL names."""
    at = _checked(url, writes=writes, setup=setup)
    with open_store(at, setup=setup, **_options(url)) as store:
        yield store


@contextmanager
def cache_at(url: str, *, writes: bool = False, setup: bool = False) -> Iterator[Any]:
    """The cache that a URL names."""
    at = _checked(url, writes=writes, setup=setup)
    with open_cache(at, setup=setup, **_options(url)) as cache:
        yield cache


def _options(url: str) -> dict[str, Any]:
    """A command waits for nothing long, and needs no pool, which would try again and again."""
    is_postgres = url.startswith("postgres")
    return {"call_timeout": PATIENCE, **({"pool": None} if is_postgres else {})}


def _checked(url: str, *, writes: bool, setup: bool) -> str:
    """The URL to open. A file of SQLite is not made by looking at it, nor changed.

    Raises:
        BackendUnavailableError: there is no such file.
        InvalidArgumentError: nothing can be there.
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
    """Ask before something is destroyed; a program has to say --yes."""
    if not yes:
        typer.confirm(question, abort=True, err=True)
