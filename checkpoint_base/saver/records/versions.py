"""Version keys: channel versions as text that keeps their type, and the JSON of a checkpoint's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from checkpoint_base.errors import CorruptValueError
from checkpoint_base.saver.config import text
from checkpoint_base.saver.records.json_text import parsed

_COUNT_WIDTH: Final = 32  # LangGraph's versions are f"{n:032}.{random:016}"
_VALUELESS, _EMBEDDED = "-", "="  # no version key begins with either
_to_json: Final = json.JSONEncoder(separators=(",", ":")).encode


def version_key(version: str | int | float) -> str:
    """Encode a version as text that keeps its type; LangGraph's own format loses its zeros."""
    if isinstance(version, str):
        return _text_key(version)
    return f"i{version}" if isinstance(version, int) else f"f{version!r}"


@lru_cache(8192)  # for strings only: 0.0 and -0.0 are equal, and would share an entry
def _text_key(version: str) -> str:
    count, dot, random = version.partition(".0.")
    if dot and len(count) == _COUNT_WIDTH and count.isdecimal():
        return f"v{count.lstrip('0')}.{random}"
    return "s" + text("channel version", version)


@lru_cache(8192)
def version_of(key: str) -> str | int | float:
    """Decode a version key to the version that `version_key` encoded."""
    kind, rest = key[0], key[1:]
    if kind == "v":
        count, _, random = rest.partition(".")
        return f"{count.zfill(_COUNT_WIDTH)}.0.{random}"
    if kind == "s":
        return rest
    return int(rest) if kind == "i" else float(rest)


def version_keys(versions: Mapping[str, str | int | float]) -> dict[str, str]:
    """`version_key` of each channel's version."""
    return {name: version_key(version) for name, version in versions.items()}


def versions_of(keys: Mapping[str, str]) -> dict[str, Any]:
    """`version_of` of each channel's key."""
    return {name: version_of(key) for name, key in keys.items()}


def versions_json(
    versions: Mapping[str, str],
    valueless: Iterable[str] | None = None,
    embedded: Iterable[str] = (),
) -> str:
    """Encode channel -> version key as JSON. A key is prefixed with `-` if the channel has no
    value, and with `=` if the value is embedded in the checkpoint's row.
    """
    marked = {name: f"{_EMBEDDED}{versions[name]}" for name in embedded}
    marked |= {name: f"{_VALUELESS}{versions[name]}" for name in valueless or ()}
    return _to_json({**versions, **marked} if marked else versions)


class Versions(NamedTuple):
    """The decoded JSON of `versions_json`.

    Attributes:
        versions: channel -> version key.
        valueless: the channels without a value.
        embedded: the channels whose values are embedded in the checkpoint's row, in the order of
            their bytes there.
    """

    versions: Mapping[str, str]
    valueless: frozenset[str]
    embedded: Sequence[str]

    def with_records(self) -> list[tuple[str, str]]:
        """(channel, version key) of the values that have value records."""
        without = {*self.embedded, *self.valueless}
        return [entry for entry in self.versions.items() if entry[0] not in without]


def parse_versions(stored: str) -> Versions:
    """Decode the JSON of `versions_json`.

    Raises:
        CorruptValueError: the JSON is invalid.
    """
    try:
        versions: dict[str, str] = parsed(stored)
        valueless, embedded = [], []
        for name, key in versions.items():
            if key[0] == _EMBEDDED:
                embedded.append(name)
                versions[name] = key[1:]
            elif key[0] == _VALUELESS:
                valueless.append(name)
                versions[name] = key[1:]
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise CorruptValueError("a checkpoint's channel versions cannot be read") from error
    return Versions(versions, frozenset(valueless), embedded)
