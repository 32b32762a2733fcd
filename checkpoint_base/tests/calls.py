"""Calls of each kind, for what is asked of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from conformance_tests.samples.build import checkpoint, metadata, new_versions, on

_ONE = checkpoint({"a": 1}, id="1")
PUT: Final = on("t"), _ONE, metadata(), new_versions(_ONE)
SAVER_CALLS: Final[dict[str, Callable[[Any], Any]]] = {
    "put": lambda saver: saver.put(*PUT),
    "put_writes": lambda saver: saver.put_writes(on("t", "", "1"), [("a", 1)], "task"),
    "get_tuple": lambda saver: saver.get_tuple(on("t")),
    "list": lambda saver: list(saver.list(None)),
    "list_threads": lambda saver: saver.list_threads(),
    "interrupts": lambda saver: list(saver.interrupts()),
    "delete_thread": lambda saver: saver.delete_thread("t"),
    "prune": lambda saver: saver.prune(["t"]),
    "stats": lambda saver: saver.stats(),
}
STORE_CALLS: Final[dict[str, Callable[[Any], Any]]] = {
    "put": lambda store: store.put(("a",), "k", {"n": 1}),
    "get": lambda store: store.get(("a",), "k"),
    "search": lambda store: store.search(("a",), filter={"n": 1}),
    "list_namespaces": lambda store: store.list_namespaces(),
    "delete": lambda store: store.delete(("a",), "k"),
    "sweep_ttl": lambda store: store.sweep_ttl(),
    "stats": lambda store: store.stats(),
}
