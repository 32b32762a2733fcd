"""Clients by URL: one server, a cluster, or the primary that sentinels name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from checkpoint_base.errors import InvalidArgumentError

SINGLE: Final = ("redis", "rediss", "unix")
SCHEMES: Final = (*SINGLE, "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")

STEP: Final = "a request to Redis"
"""What `call_timeout` limits, for its error."""
ESCAPES: Final = "in a password '@' is written %40, '/' %2F, ':' %3A, '?' %3F and '[' %5B"
_KINDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "socket_timeout": float,
    "socket_connect_timeout": float,
    "protocol": int,
    "health_check_interval": int,
}
_PORTS: Final = {"cluster": 6379, "sentinel": 26379}


class Target(NamedTuple):
    """What a URL names.

    Attributes:
        kind: "single", "cluster" or "sentinel".
        hosts: of a cluster or of sentinels.
        service: what sentinels call the primary.
        options: of the connections.
    """

    kind: str
    hosts: list[tuple[str, int]]
    service: str
    options: dict[str, Any]


def attempt_timeout(call_timeout: float | None) -> float | None:
    """Seconds for one try of a request: what was lost is tried once more within `call_timeout`."""
    return None if call_timeout is None else call_timeout / 2


def opened_target(url: str, call_timeout: float | None, *, blocking: bool) -> Target:
    """What a URL names, with timeouts for a client of our own unless the URL has its own.

    On an event loop the driver limits each try; `socket_timeout` would make a task of each write.
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
    """Read a URL.

    Raises:
        InvalidArgumentError: another scheme, or a part is missing. The URL is not told: it may have
            a password.
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
    with suppress(ValueError):  # it tells the host, which may be the end of a password
        return urlsplit(url)
    raise InvalidArgumentError(f"conn_string: there is a bracket too many or too few ({ESCAPES})")


def _check_single(parts: SplitResult) -> None:
    """What redis-py says with too many words, or leaves out of account."""
    port = None
    with suppress(ValueError):  # it tells the port, which may be the end of a password
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
    """The query, in the types that connections want."""
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query):
        kind = _KINDS.get(name, str)
        with suppress(ValueError):  # it tells the value
            options[name] = kind(value)
        if name not in options:
            raise InvalidArgumentError(f"conn_string: {name} is no number")
    return options
