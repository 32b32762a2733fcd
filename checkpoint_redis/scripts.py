"""The Lua scripts of this backend, put together of their files once."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from hashlib import sha1
from importlib import resources
from typing import Final, NamedTuple


class Script(NamedTuple):
    """A script, and the name under which a server that has seen it knows it."""

    name: str
    text: bytes
    sha: bytes


_STATE: Final = ("common", "state")
_THREAD: Final = (*_STATE, "intact")
_CHECKED: Final = (*_THREAD, "complete")
_READING: Final = (*_CHECKED, "touch", "records", "parts", "refresh")
_WRITING: Final = (*_CHECKED, "touch", "records", "digests", "write")
_REMOVING: Final = (*_CHECKED, "records", "collect")
_STORE: Final = ("store/common",)
_PARTS: Final = {
    "put": _WRITING,
    "put_writes": _WRITING,
    "get": _READING,
    "page": (*_READING, "order"),
    "some": (*_CHECKED, "records", "parts"),
    "names": (*_THREAD, "order"),
    "lineage": _READING,
    "heads": (*_CHECKED, "records"),
    "keep": _REMOVING,
    "drop_runs": _REMOVING,
    "collect_garbage": _REMOVING,
    "delete": ("common",),
    "expire": ("common",),
    "peek": _STATE,
    "stats": _STATE,
    "snapshot": (*_CHECKED, "records"),
    "outline": _CHECKED,
    "paste": (*_CHECKED, "touch"),
    "establish": ("registered",),
    "register": ("registered",),
    "threads": ("registry",),
    "overdue": ("registry",),
    "forget": ("registered",),
    "postpone": ("registered",),
    "runs": ("registry",),
    "drop_run": ("registered",),
    "collectable": ("registry",),
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
    "store/namespaces": _STORE,
    "store/refresh": _STORE,
    "store/sweep": (*_STORE, "store/fields", "store/graph", "store/changes"),
    "store/stats": _STORE,
    "schema": (),
    "server": (),
}
"""script -> the files that come before its own"""
_COMMAND: Final = re.compile(
    rb"(?:redis\.p?call|in_batches)\(\s*'([A-Z._]+)'(?:, '([A-Z]+)'(?=, key))?"
)


def names() -> Collection[str]:
    """The names of all scripts."""
    return _PARTS.keys()


@cache
def script(name: str) -> Script:
    """The script of this name."""
    folder = resources.files("checkpoint_redis") / "lua"
    pieces = [(folder / f"{part}.lua").read_bytes() for part in (*_PARTS[name], name)]
    text = b"\n".join(pieces)
    return Script(name, text, sha1(text, usedforsecurity=False).hexdigest().encode())


@cache
def commands_of(script: Script) -> tuple[str, ...]:
    """The commands that a script uses, and those that run it, in an ACL's words."""
    found = {b"|".join(filter(None, match)).decode() for match in _COMMAND.findall(script.text)}
    return ("eval", "evalsha", *sorted(name.lower() for name in found))
