"""Connection strings: parsing, network settings, and errors for failed connections."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    InvalidArgumentError,
    PermissionDeniedError,
)

_WANTED: Final = "conn_string: wanted postgresql://user@host:port/database, or host=… dbname=…"
_ESCAPES: Final = "in a password '@' is written %40, '/' %2F, ':' %3A and '%' %25"
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)
_SEVERAL: Final = "\n- host: "
"""The beginning of each line about one of several attempts, in psycopg's error."""

_DENIED: Final = (
    r"(password|peer|ident|certificate) authentication failed|no password supplied"
    r"|no pg_hba\.conf entry|pg_hba\.conf rejects"
    r'|role ".*" does not exist|role ".*" is not permitted to log in|no such user'
    r"|permission denied for database"
)
_PERMANENT: Final = re.compile(
    _DENIED + r'|database ".*" does not exist|no such database'
    r"|invalid \S+ value|invalid connection option|invalid value for parameter"
    r"|unrecognized configuration parameter|server does not support SSL",
    re.IGNORECASE,
)
"""Messages of failures that a retry does not fix. psycopg gives no SQLSTATE when connecting fails,
and a server may not use English: a failure that is not found here counts as temporary.
"""


_NETWORK: Final = {
    "tcp_user_timeout": 60_000,  # milliseconds
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""libpq's TCP settings: how long sent data may stay unacknowledged; the seconds without traffic
before the kernel probes the server, the seconds between probes, and their number.
"""

_LEAST_CONNECT: Final = 2
"""Seconds; libpq takes no less for a `connect_timeout`."""


def understood(conn_string: Any) -> dict[str, Any]:
    """Parse a connection string.

    Raises:
        InvalidArgumentError: it is invalid. The message omits what may be part of a password.
    """
    if not isinstance(conn_string, str):
        raise InvalidArgumentError(f"{_WANTED}; got {type(conn_string).__name__}")
    try:
        parts = conninfo_to_dict(conn_string)
    except psycopg.ProgrammingError as error:
        told = _reason(conn_string, str(error).strip())
    else:
        told = _wrong(conn_string, parts)
    if told:  # outside of `except`: a traceback with the driver's error could show the password
        raise InvalidArgumentError(f"{_WANTED}; {told}")
    return parts


def _is_url(conn_string: str) -> bool:
    return conn_string.startswith(("postgresql://", "postgres://"))


def _reason(conn_string: str, said: str) -> str:
    """The message of libpq. Text that it quotes is removed if it may be a password."""
    if "password" not in conn_string and "@" not in conn_string:
        return said
    query = conn_string.partition("?")[2]
    if _is_url(conn_string) and "@" not in query:
        known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
        given = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        if unknown := [name for name in given if name not in {*known, "ssl"}]:
            return f"there is no option {unknown[0]!r}"
    return f"{_QUOTED.sub('…', said)} ({_ESCAPES})"


def _wrong(conn_string: str, parts: Mapping[str, Any]) -> str:
    """An error that libpq would find only when it connects, and report with the password."""
    ports = str(parts.get("port") or "").split(",")
    if any(port and not (port.isdecimal() and int(port) < 1 << 16) for port in ports):
        return f"the port is no number up to 65535 ({_ESCAPES})"
    hosts = str(parts.get("host") or "").split(",")
    name = str(parts.get("dbname") or "")
    stray = _is_url(conn_string) and "@" in name and "%40" not in conn_string
    if stray or any("@" in host[1:] for host in hosts):  # a leading '@' is an abstract socket
        return f"there is more than one '@' ({_ESCAPES})"
    return ""


def network_settings(parts: Mapping[str, Any], call_timeout: float | None) -> dict[str, int]:
    """Settings by which a connection detects that the server is gone without having closed it.

    The kernel limits how long data may stay unacknowledged, and probes an idle server. libpq
    ignores settings that the platform lacks. Connecting may take `call_timeout` at most.

    Args:
        parts: of the connection string. Its settings, and those of the environment, have priority.
        call_timeout: seconds; None: no limit.
    """
    settings = dict(_NETWORK)
    if call_timeout is not None:
        settings["connect_timeout"] = max(_LEAST_CONNECT, math.ceil(call_timeout))
    stated = {key for key, value in parts.items() if value is not None}
    if os.environ.get("PGCONNECT_TIMEOUT"):
        stated.add("connect_timeout")
    return {key: value for key, value in settings.items() if key not in stated}


def is_refused_login(error: psycopg.Error) -> bool:
    """Whether connecting failed because the role may not log in."""
    is_attempt = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
    return is_attempt and re.search(_DENIED, str(error), re.IGNORECASE) is not None


def unreachable(error: psycopg.Error, parts: Mapping[str, Any]) -> CheckpointError:
    """The error to raise after connecting has failed."""
    named = (("host", "host"), ("port", "port"), ("dbname", "database"), ("user", "user"))
    where = ", ".join(f"{name} {parts[key]}" for key, name in named if parts.get(key))
    place = f" ({where})" if where else ""
    refused = is_refused_login(error) and is_permanent(error, parts)
    kind = PermissionDeniedError if refused else BackendUnavailableError
    return kind(f"no connection to Postgres{place}: {str(error).strip()}")


def is_permanent(error: psycopg.Error, parts: Mapping[str, Any]) -> bool:
    """Whether a retry would fail in the same way. One host may have several addresses: a permanent
    failure of one of them is enough. With several hosts, each must have failed permanently.
    """
    if isinstance(error, psycopg.InterfaceError):  # e.g. an event loop that psycopg cannot use
        return True
    failures = str(error).split(_SEVERAL)[1:] or [str(error)]
    found = [_PERMANENT.search(each) is not None for each in failures]
    return all(found) if "," in str(parts.get("host") or "") else any(found)


class Remembering:
    """Mixin for a connection class: remembers why connecting failed last. A pool only logs that."""

    failure: ClassVar[psycopg.Error | None] = None

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
        """As `connect` of psycopg."""
        with cls._noting():
            return super().connect(conninfo, **kwargs)  # type: ignore[misc]

    @classmethod
    @contextmanager
    def _noting(cls) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            cls.failure = error
            raise
        cls.failure = None


class AsyncRemembering(Remembering):
    """`Remembering`, for connections of an event loop."""

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
        """As `connect` of psycopg."""
        with cls._noting():
            return await super(Remembering, cls).connect(conninfo, **kwargs)  # type: ignore[misc]


def remembering(connection_class: Any, remembers: type[Remembering]) -> Any:
    """A subclass of a connection class for one pool, which remembers the failures of that pool."""
    return type(connection_class.__name__, (remembers, connection_class), {"failure": None})


def explained(error: PoolTimeout, connection_class: Any, deadline: Deadline) -> Exception:
    """The error for a pool that gave no connection in time, with the reason if it is known."""
    failure = getattr(connection_class, "failure", None)
    if failure is not None:
        return PoolTimeout(f"{error}: {str(failure).strip()}")
    return deadline.error("the wait for a connection of the pool") if deadline.is_over else error
