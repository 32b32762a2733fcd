"""Clauses about entries: values are read back with their types, by their exact names."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Send

from conformance_tests.caches.base import AT, CacheClauses, CacheOpener
from conformance_tests.caches.facade import CacheFacade
from conformance_tests.contract.capabilities import Capability, clauses_of

VALUES: Final[dict[str, Any]] = {
    "none": None,
    "false": False,
    "an empty text": "",
    "bytes": b"\x00\xff",
    "NUL in a text": "a\0b",
    "writes": deque([["messages", [HumanMessage("hi", id="1"), AIMessage("ho", id="2")]]]),
    "a send": [["__pregel_tasks", Send("node", {"n": 1})]],
    "a time": datetime(2026, 11, 30, 12, tzinfo=timezone.utc),
    "a decimal": Decimal("1.10"),
    "a UUID": UUID(int=7),
    "a set": {1, 2, 3},
    "300 KB": "x" * 300_000,
}
"""Sample values by name, including a node's writes as LangGraph stores them."""


@clauses_of(Capability.CACHE_ENTRIES)
class EntryClauses(CacheClauses):
    """Clauses about single values and many."""

    @pytest.mark.parametrize("kind", VALUES)
    def test_entries_come_back(self, cache: CacheFacade, kind: str) -> None:
        """A value is read back with its type, since it replaces the result of running the node."""
        cache.put(AT, VALUES[kind])
        found = cache.get([AT])
        assert found == {AT: VALUES[kind]}
        assert type(found[AT]) is type(VALUES[kind])

    def test_entries_absent_ones_are_left_out(self, cache: CacheFacade) -> None:
        """Absent entries are missing from the result, not None: None is a value."""
        cache.put(AT, None)
        assert cache.get([(("node",), "other"), AT, (("other",), "key")]) == {AT: None}
        assert cache.get([(("node",), "other")]) == {}
        assert cache.get([]) == {}

    def test_entries_are_replaced(self, cache: CacheFacade) -> None:
        """Setting an entry again replaces its value."""
        for n in range(3):
            cache.put(AT, n)
            assert cache.has(AT, n)

    def test_entries_many_at_once(self, cache: CacheFacade) -> None:
        """Hundreds of entries can be set and read in one call, as for a step with many tasks."""
        names = [(("node", f"{n % 7}"), f"{n}") for n in range(700)]
        cache.set({name: (n, None) for n, name in enumerate(names)})
        cache.set({})
        asked = [*names, *((("other",), f"{n}") for n in range(700)), names[0]]
        assert cache.get(asked) == {name: n for n, name in enumerate(names)}

    def test_entries_are_copies(self, cache: CacheFacade) -> None:
        """Changing an object that was set or returned does not change the cached value."""
        value = {"list": [1]}
        cache.put(AT, value)
        value["list"].append(2)
        cache.get([AT])[AT]["list"].append(3)
        assert cache.has(AT, {"list": [1]})

    def test_entries_of_other_opens(self, reopened: CacheOpener) -> None:
        """Caches that are open on the same database share their entries."""
        first, second = reopened(), reopened()
        first.put(AT, "first")
        assert second.has(AT, "first")
        second.clear()
        assert first.get([AT]) == {}
