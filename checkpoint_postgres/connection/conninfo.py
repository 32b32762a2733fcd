"""What a connection string says, before anybody connects; and why nobody could."""

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
"""How psycopg begins each line about one of several attempts."""

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
"""What waiting does not mend. There is no SQLSTATE of a connection that was refused, and a server
may speak another language than English: what is not found here is taken for temporary.
"""


_NETWORK: Final = {
    "tcp_user_timeout": 60_000,  # milliseconds
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""How long the kernel waits until the peer has acknowledged what was sent; and after how many
seconds without traffic it asks whether the peer is there, how long it waits, and how often it asks.
"""

_LEAST_CONNECT: Final = 2
"""Seconds; libpq takes no less for a `connect_timeout`."""


def understood(conn_string: Any) -> dict[str, Any]:
    """The parts of a connection string.

    Raises:
        InvalidArgumentError: it is none. What may be part of a password is not told.
    """
    if not isinstance(conn_string, str):
        raise InvalidArgumentError(f"{_WANTED}; got {type(conn_string).__name__}")
    try:
        parts = conninfo_to_dict(conn_string)
    except psycopg.ProgrammingError as error:
        told = _reason(conn_string, str(error).strip())
    else:
        told = _wrong(conn_string, parts)
    if told:  # not while the driver's error is handled: it would be shown with this one
        raise InvalidArgumentError(f"{_WANTED}; {told}")
    return parts


def _is_url(conn_string: str) -> bool:
    return conn_string.startswith(("postgresql://", "postgres://"))


def _reason(conn_string: str, said: str) -> str:
    """What libpq said. It quotes what it does not understand, which may be a password."""
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
    """What libpq would find out too late, in words that might tell a password."""
    ports = str(parts.get("port") or "").split(",")
    if any(port and not (port.isdecimal() and int(port) < 1 << 16) for port in ports):
        return f"the port is no number up to 65535 ({_ESCAPES})"
    hosts = str(parts.get("host") or "").split(",")
    name = str(parts.get("dbname") or "")
    stray = _is_url(conn_string) and "@" in name and "%40" not in conn_string
    if stray or any("@" in host[1:] for host in hosts):  # in front it names an abstract socket
        return f"there is more than one '@' ({_ESCAPES})"
    return ""


def network_settings(parts: Mapping[str, Any], call_timeout: float | None) -> dict[str, int]:
    """What a connection of ours needs so that a peer that is gone, and says nothing, is found out.

    The kernel gives up what the peer has not acknowledged, and asks an idle peer whether it is
    there. Where the platform has no such setting, libpq ignores it. An attempt to connect takes as
    long as a step at most.

    Args:
        parts: of the connection string; what it says, and what the environment says, stands.
        call_timeout: seconds.
    """
    settings = dict(_NETWORK)
    if call_timeout is not None:
        settings["connect_timeout"] = max(_LEAST_CONNECT, math.ceil(call_timeout))
    stated = {key for key, value in parts.items() if value is not None}
    if os.environ.get("PGCONNECT_TIMEOUT"):
        stated.add("connect_timeout")
    return {key: value for key, value in settings.items() if key not in stated}


def is_refused_login(error: psycopg.Error) -> bool:
    """Whether a connection did not come to be because the role may not connect."""
    is_attempt = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
    return is_attempt and re.search(_DENIED, str(error), re.IGNORECASE) is not None


def unreachable(error: psycopg.Error, parts: Mapping[str, Any]) -> CheckpointError:
    """The error for a connection that did not come to be."""
    named = (("host", "host"), ("port", "port"), ("dbname", "database"), ("user", "user"))
    where = ", ".join(f"{name} {parts[key]}" for key, name in named if parts.get(key))
    place = f" ({where})" if where else ""
    refused = is_refused_login(error) and is_permanent(error, parts)
    kind = PermissionDeniedError if refused else BackendUnavailableError
    return kind(f"no connection to Postgres{place}: {str(error).strip()}")


def is_permanent(error: psycopg.Error, parts: Mapping[str, Any]) -> bool:
    """Whether another attempt would end the same. One host may have several addresses, of which
    one that speaks is enough; several hosts must all have said so.
    """
    if isinstance(error, psycopg.InterfaceError):  # e.g. an event loop that psycopg cannot use
        return True
    failures = str(error).split(_SEVERAL)[1:] or [str(error)]
    found = [_PERMANENT.search(each) is not None for each in failures]
    return all(found) if "," in str(parts.get("host") or "") else any(found)


class Remembering:
    """Before a connection's class: knows why its last one did not come to be. A pool tells that to
    its log only.
    """

    failure: ClassVar[psycopg.Error | None] = None

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
        """As psycopg's."""
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
    """The same for an event loop."""

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
        """As psycopg's."""
        with cls._noting():
            return await super(Remembering, cls).connect(conninfo, **kwargs)  # type: ignore[misc]


def remembering(connection_class: Any, remembers: type[Remembering]) -> Any:
    """A class of connections of its own, for one pool."""
    return type(connection_class.__name__, (remembers, connection_class), {"failure": None})


def explained(error: PoolTimeout, connection_class: Any, deadline: Deadline) -> Exception:
    """The error of a pool that gave no connection, with the reason if its class remembers one."""
    failure = getattr(connection_class, "failure", None)
    if failure is not None:
        return PoolTimeout(f"{error}: {str(failure).strip()}")
    return deadline.error("the wait for a connection of the pool") if deadline.is_over else error
