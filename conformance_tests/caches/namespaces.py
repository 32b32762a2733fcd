"""Clauses about namespaces and keys: names never collide, and `clear` clears the right ones."""

from __future__ import annotations

from typing import Final

import pytest
from langgraph.cache.base import FullKey

from conformance_tests.caches.base import CacheClauses
from conformance_tests.caches.facade import CacheFacade
from conformance_tests.contract.capabilities import Capability, clauses_of

SEPARATORS: Final = (",", ":", "/", ".", "|", "\0", "\x01", "\x1f", "\n", '", "', "\\", "%")
PLAIN: Final[list[FullKey]] = [
    (("a",), "k"),
    (("a", "b"), "k"),
    (("ab",), "k"),
    (("b", "a"), "k"),
    (("b",), "k"),
    (("a", "b", "c"), "k"),
    (("A",), "k"),
    ((), "k"),
    (("",), "k"),
    (("", ""), "k"),
    (("a",), ""),
    (("a",), "K"),
    (("ä" * 2000, "b"), "k" * 5000),
    (("ä" * 2000, "b"), "k" * 4999),
]
PATTERNS: Final = ("*", "a*", "?", "[ab]", "%", "_", "a_", "$where", ".*")


def joined(separator: str) -> list[FullKey]:
    """Names that would collide if their parts were joined by this separator."""
    return [
        (("a", "b"), "k"),
        ((f"a{separator}b",), "k"),
        (("a",), f"b{separator}k"),
        ((), f"a{separator}b{separator}k"),
        (("a", "", "b"), "k"),
        ((f"a{separator}", "b"), "k"),
    ]


def fill(cache: CacheFacade, names: list[FullKey]) -> dict[FullKey, str]:
    """Store a different value under each name."""
    values = {name: repr(name) for name in names}
    cache.set({name: (value, None) for name, value in values.items()})
    return values


@clauses_of(Capability.CACHE_NAMESPACES)
class CacheNamespaceClauses(CacheClauses):
    """Clauses about names."""

    def test_namespaces_are_kept_apart(self, cache: CacheFacade) -> None:
        """A node never gets the cached result of another node."""
        values = fill(cache, PLAIN)
        assert cache.get(PLAIN) == values
        for name, value in values.items():
            assert cache.get([name]) == {name: value}

    @pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
    def test_namespaces_no_separator_joins_two(self, cache: CacheFacade, separator: str) -> None:
        """No separator in a namespace or key makes two names collide: users name nodes, and
        `key_func` may return any text."""
        names = joined(separator)
        assert cache.get(names) == {}
        values = fill(cache, names)
        assert cache.get(names) == values

    def test_namespaces_clear_all(self, cache: CacheFacade) -> None:
        """`clear(None)` and `clear()` clear all namespaces."""
        for clear in (lambda: cache.clear(None), lambda: cache.call("clear")):
            fill(cache, PLAIN)
            clear()
            assert cache.get(PLAIN) == {}

    def test_namespaces_clear_exactly_those(self, cache: CacheFacade) -> None:
        """`clear` clears exactly the given namespaces, not longer or similar ones."""
        values = fill(cache, PLAIN)
        cache.clear([("a",), ("b", "a"), ("never",)])
        gone = {name for name in PLAIN if name[0] in {("a",), ("b", "a")}}
        assert cache.get(PLAIN) == {n: value for n, value in values.items() if n not in gone}

    def test_namespaces_clear_the_empty_one(self, cache: CacheFacade) -> None:
        """`clear([()])` clears the namespace without labels, not all."""
        values = fill(cache, PLAIN)
        cache.clear([()])
        assert cache.get(PLAIN) == {n: value for n, value in values.items() if n[0]}

    def test_namespaces_clear_none_of_them(self, cache: CacheFacade) -> None:
        """`clear([])` clears nothing."""
        values = fill(cache, PLAIN)
        cache.clear([])
        assert cache.get(PLAIN) == values

    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_namespaces_are_no_patterns(self, cache: CacheFacade, pattern: str) -> None:
        """Wildcards of databases in a namespace are taken literally."""
        values = fill(cache, PLAIN)
        values |= fill(cache, [((pattern,), "k")])
        cache.clear([(pattern,)])
        del values[(pattern,), "k"]
        assert cache.get([*PLAIN, ((pattern,), "k")]) == values
