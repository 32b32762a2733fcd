"""The Lua scripts: each is its preambles and its own file, joined, with its SHA-1."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from hashlib import sha1
from importlib import resources
from typing import Final, NamedTuple


class Script(NamedTuple):
    """A script and its SHA-1 in hexadecimal, by which EVALSHA runs it."""

    name: str
    text: bytes
    sha: bytes


_THREAD: Final = ("thread",)
_RECORDS: Final = (*_THREAD, "records")
_READING: Final = (*_THREAD, "expiry", "records", "response")
_WRITING: Final = (*_THREAD, "expiry", "records", "write")
_REGISTRY: Final = ("registry",)
_STORE: Final = ("store/common",)
_PARTS: Final = {
    "put": _WRITING,
    "put_writes": _WRITING,
    "get_many": _READING,
    "list": (*_READING, "order"),
    "list_ids": (*_THREAD, "order"),
    "ancestors": _READING,
    "latest": _RECORDS,
    "thread_info": _THREAD,
    "head": _READING,
    "delete": _THREAD,
    "scan": _RECORDS,
    "begin_collection": _THREAD,
    "collect": _RECORDS,
    "snapshot": _RECORDS,
    "lease": (),
    "restore": (*_THREAD, "expiry"),
    "create_registry": _REGISTRY,
    "register": _REGISTRY,
    "unregister": _REGISTRY,
    "correct": _REGISTRY,
    "list_threads": _REGISTRY,
    "heads": _REGISTRY,
    "overdue": _REGISTRY,
    "labelled": _REGISTRY,
    "store/put": (*_STORE, "store/fields", "store/graph", "store/changes"),
    "store/get": _STORE,
    "store/browse": (*_STORE, "store/fields", "store/filters"),
    "store/look": (*_STORE, "store/filters"),
    "store/vectors": _STORE,
    "store/passing": (*_STORE, "store/filters"),
    "store/near": (*_STORE, "store/filters"),
    "store/engage": _STORE,
    "store/build": (*_STORE, "store/graph"),
    "store/list": (*_STORE, "store/fields"),
    "store/unlist": (*_STORE, "store/fields"),
    "store/namespaces": _STORE,
    "store/refresh": _STORE,
    "store/sweep": (*_STORE, "store/fields", "store/graph", "store/changes"),
    "store/stats": _STORE,
    **dict.fromkeys(
        (
            *("cache/get", "cache/put", "cache/delete", "cache/clear", "cache/clear_some"),
            *("cache/sweep", "cache/trim", "cache/stats"),
        ),
        ("cache/common",),
    ),
    "schema": (),
}
"""script -> its preambles, in order"""
_COMMAND: Final = re.compile(
    rb"(?:redis\.p?call|in_batches)\(\s*'([A-Z._]+)'(?:, '([A-Z]+)'(?=, key))?"
)


def names() -> Collection[str]:
    """The names of all scripts: paths in `lua/`, without extension."""
    return _PARTS.keys()


@cache
def script(name: str) -> Script:
    """Load a script."""
    folder = resources.files("checkpoint_redis") / "lua"
    pieces = [(folder / f"{part}.lua").read_bytes() for part in (*_PARTS[name], name)]
    text = b"\n".join(pieces)
    return Script(name, text, sha1(text, usedforsecurity=False).hexdigest().encode())


@cache
def commands_of(script: Script) -> tuple[str, ...]:
    """The commands that a user needs to run a script, as ACL rules name them."""
    found = {b"|".join(filter(None, match)).decode() for match in _COMMAND.findall(script.text)}
    return ("eval", "evalsha", *sorted(name.lower() for name in found))
