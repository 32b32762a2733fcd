"""The schema version, which `setup()` stores, and the server's version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkpoint_base.errors import NotSetUpError, SchemaVersionError
from checkpoint_base.plan import Plan
from checkpoint_redis.connection.requests import call
from checkpoint_redis.connection.scripts import script


def schema_version(key: bytes, known: int, *, note: bool = False) -> Plan[int]:
    """Read the schema version; 0: none is stored.

    Args:
        key: its key.
        known: the newest version that this library knows.
        note: store `known` first, unless a version is stored.

    Raises:
        SchemaVersionError: the stored version is newer.
    """
    reply, _ = yield from call(script("schema"), [key], [known if note else b""])
    noted = int(reply or 0)
    if noted > known:
        raise SchemaVersionError(
            f"what is stored under {_prefix(key)!r} has schema version {noted}, this version of "
            f"langgraph-checkpoint-suite knows versions up to {known}: upgrade the library"
        )
    return noted


def expect_schema(key: bytes, known: int) -> Plan[None]:
    """Check the stored schema version.

    Raises:
        NotSetUpError: no version is stored: setup() was never called.
        SchemaVersionError: the stored version is newer than this library.
    """
    if not (yield from schema_version(key, known)):
        raise NotSetUpError(
            f"Redis has nothing that was set up under the prefix {_prefix(key)!r}, "
            "call setup() once"
        )


def server_name(key: bytes) -> Plan[str]:
    """The server's name and version.

    Args:
        key: the key of the schema version, in whose slot the script runs.
    """
    _, info = yield from call(script("schema"), [key], [b""])
    return name_of(dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line))


def name_of(info: Mapping[str, Any]) -> str:
    """A server's name and version, from the fields of INFO."""
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', 'of unknown version')}"


def _prefix(key: bytes) -> str:
    return key.rpartition(b":")[0].decode().strip("{}")
