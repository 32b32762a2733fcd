"""Connection strings: URLs of one server, of a cluster, or of a primary behind Sentinel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from checkpoint_base.errors import InvalidArgumentError

SINGLE: Final = ("redis", "rediss", "unix")
SCHEMES: Final = (*SINGLE, "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")

STEP: Final = "a request to Redis"
"""What `call_timeout` limits, as its error names it."""
ESCAPES: Final = "in a password '@' is written %40, '/' %2F, ':' %3A, '?' %3F and '[' %5B"
_KINDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "socket_timeout": float,
    "socket_connect_timeout": float,
    "protocol": int,
    "health_check_interval": int,
}
_PORTS: Final = {"cluster": 6379, "sentinel": 26379}


class Target(NamedTuple):
    """A parsed URL.

    Attributes:
        kind: "single", "cluster" or "sentinel".
        hosts: (host, port) of the cluster's nodes or of the sentinels; empty for "single".
        service: Sentinel's name of the primary; empty otherwise.
        options: keyword arguments of redis-py's connections.
    """

    kind: str
    hosts: list[tuple[str, int]]
    service: str
    options: dict[str, Any]


def attempt_timeout(call_timeout: float | None) -> float | None:
    """Seconds for one attempt: half of `call_timeout`, so that one retry is possible."""
    return None if call_timeout is None else call_timeout / 2


def opened_target(url: str, call_timeout: float | None, *, blocking: bool) -> Target:
    """Parse a URL, and add default timeouts for a client that the library opens.

    On an event loop the driver limits each attempt. `socket_timeout` would make redis-py start a
    task for each write there, so only a cluster's client gets it.
    """
    target = target_of(url)
    attempt = attempt_timeout(call_timeout)
    options: dict[str, Any] = {"socket_connect_timeout": 5.0}
    if attempt is not None:
        options["socket_connect_timeout"] = min(5.0, attempt)
        if blocking or target.kind == "cluster":
            options["socket_timeout"] = attempt
    return target._replace(options={**options, **target.options})


def target_of(url: str) -> Target:
    """Parse a URL.

    Raises:
        InvalidArgumentError: the scheme is unknown, or a part is missing or malformed. The message
            does not quote the URL, which may contain a password.
    """
    scheme, separator, _ = str(url).partition("://")
    if not separator or scheme not in SCHEMES:
        raise InvalidArgumentError(
            f"conn_string: wanted one of {', '.join(f'{name}://' for name in SCHEMES)}, "
            f"got {scheme + separator if separator else 'something without a scheme'}"
        )
    parts = _parts(url)
    if scheme in SINGLE:
        _check_single(parts)
        return Target("single", [], "", {})
    kind = scheme.partition("+")[2]
    options = _options(parts.query)
    if scheme.startswith("rediss"):
        options["ssl"] = True
    authority = parts.netloc
    if "@" in authority:
        login, _, authority = authority.rpartition("@")
        name, _, password = login.partition(":")
        options |= {"username": unquote(name) or None, "password": unquote(password) or None}
    hosts = [_host(each, _PORTS[kind]) for each in authority.split(",")]
    path = [unquote(part) for part in parts.path.split("/") if part]
    if kind == "cluster":
        return Target(kind, hosts, "", options)
    if not path or len(path) > 2 or (len(path) == 2 and not path[1].isdecimal()):
        raise InvalidArgumentError(
            "conn_string: wanted redis+sentinel://host:port,host:port/service or …/service/db"
        )
    return Target(kind, hosts, path[0], {**options, "db": int(path[1]) if len(path) == 2 else 0})


def _parts(url: str) -> SplitResult:
    with suppress(ValueError):  # its message has the host, which may be the end of a password
        return urlsplit(url)
    raise InvalidArgumentError(f"conn_string: there is a bracket too many or too few ({ESCAPES})")


def _check_single(parts: SplitResult) -> None:
    """Refuse a port or a database number that is invalid: redis-py's errors are unclear, or quote
    the URL, or there is none.
    """
    port = None
    with suppress(ValueError):  # its message has the port, which may be the end of a password
        port = parts.port or 0
    if port is None:
        raise InvalidArgumentError(f"conn_string: the port is no number up to 65535 ({ESCAPES})")
    number = unquote(parts.path).strip("/")
    if parts.scheme != "unix" and number and not number.isdecimal():
        raise InvalidArgumentError(
            f"conn_string: wanted {parts.scheme}://host:port/db, where db is a number ({ESCAPES})"
        )


def _host(text: str, port: int) -> tuple[str, int]:
    host, separator, given = text.rpartition(":")
    if not separator or given.endswith("]"):
        host, given = text, str(port)
    host = host.strip("[]")
    if not host or not given.isdecimal():
        raise InvalidArgumentError("conn_string: wanted host:port, separated by commas")
    return host, int(given)


def _options(query: str) -> dict[str, Any]:
    """The query of a URL, with values converted to the types that redis-py's connections take."""
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query):
        kind = _KINDS.get(name, str)
        with suppress(ValueError):  # its message has the value, which may be secret
            options[name] = kind(value)
        if name not in options:
            raise InvalidArgumentError(f"conn_string: {name} is no number")
    return options
