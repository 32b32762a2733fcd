"""Clauses about lists of namespaces, and deletion of whole namespaces."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import InvalidNamespaceError, ListNamespacesOp, MatchCondition, PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import StoreClauses
from conformance_tests.stores.facade import StoreFacade

SPACES = [
    ("a", "b", "c"),
    ("a", "b", "d", "e"),
    ("a", "b", "d", "i"),
    ("a", "b", "f"),
    ("a", "c", "f"),
    ("a",),
    ("ab", "c"),
    ("b", "a", "f"),
]


@clauses_of(Capability.STORE_NAMESPACES)
class NamespaceClauses(StoreClauses):
    """Clauses about `list_namespaces`."""

    @pytest.fixture
    def filled(self, store: StoreFacade) -> StoreFacade:
        """A store with several items in each namespace."""
        store.batch([PutOp(at, key, {"n": 1}) for at in SPACES for key in ("x", "y")])
        return store

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({}, sorted(SPACES)),
            ({"prefix": ("a",)}, sorted(SPACES)[:6]),
            ({"prefix": ("a", "b")}, sorted(SPACES)[1:5]),
            ({"prefix": ("a", "b", "d", "e", "x")}, []),
            ({"prefix": ("z",)}, []),
            ({"suffix": ("f",)}, [("a", "b", "f"), ("a", "c", "f"), ("b", "a", "f")]),
            ({"suffix": ("b", "f")}, [("a", "b", "f")]),
            ({"prefix": ("a",), "suffix": ("f",)}, [("a", "b", "f"), ("a", "c", "f")]),
            ({"prefix": ("a", "*", "f")}, [("a", "b", "f"), ("a", "c", "f")]),
            ({"prefix": ("*", "a")}, [("b", "a", "f")]),
            ({"suffix": ("*", "f")}, [("a", "b", "f"), ("a", "c", "f"), ("b", "a", "f")]),
            ({"suffix": ("a", "*", "f")}, [("a", "b", "f"), ("a", "c", "f")]),
            ({"prefix": ("*",)}, sorted(SPACES)),
            ({"max_depth": 1}, [("a",), ("ab",), ("b",)]),
            ({"max_depth": 2}, [("a",), ("a", "b"), ("a", "c"), ("ab", "c"), ("b", "a")]),
            (
                {"prefix": ("a", "b"), "max_depth": 3},
                [("a", "b", "c"), ("a", "b", "d"), ("a", "b", "f")],
            ),
            ({"prefix": ("a", "b"), "max_depth": 1}, [("a",)]),
            ({"suffix": ("f",), "max_depth": 1}, [("a",), ("b",)]),
            ({"limit": 2}, sorted(SPACES)[:2]),
            ({"limit": 2, "offset": 3}, sorted(SPACES)[3:5]),
            ({"limit": 0}, []),
            ({"offset": 100}, []),
            ({"max_depth": 2, "limit": 2, "offset": 1}, [("a", "b"), ("a", "c")]),
            ({"max_depth": 1, "limit": 2}, [("a",), ("ab",)]),
            ({"prefix": ("a",), "max_depth": 1, "limit": 2}, [("a",)]),
            ({"prefix": ("a", "*"), "max_depth": 2, "limit": 1, "offset": 1}, [("a", "c")]),
        ],
        ids=repr,
    )
    def test_namespaces_what_is_listed(
        self, filled: StoreFacade, asked: dict[str, Any], found: list[tuple[str, ...]]
    ) -> None:
        """Namespaces are sorted and listed once, after truncation; `limit` applies last; `*`
        matches one label."""
        assert filled.list_namespaces(**asked) == found

    def test_namespaces_several_conditions(self, filled: StoreFacade) -> None:
        """A namespace must fulfil all conditions."""
        op = ListNamespacesOp(
            (
                MatchCondition("prefix", ("a",)),
                MatchCondition("prefix", ("*", "b")),
                MatchCondition("suffix", ("*", "i")),
            )
        )
        assert filled.batch([op]) == [[("a", "b", "d", "i")]]

    def test_namespaces_paths_that_are_strings(self, filled: StoreFacade) -> None:
        """In a path that is a string, each character is a label, as in LangGraph's own stores."""
        conditions = (MatchCondition("prefix", "ab"), MatchCondition("suffix", "*f"))  # type: ignore[arg-type]  # on purpose
        assert filled.batch([ListNamespacesOp(conditions)]) == [[("a", "b", "f")]]
        assert filled.list_namespaces(prefix="ab", suffix="f") == [("a", "b", "f")]
        assert filled.list_namespaces(suffix=["b", "f"]) == [("a", "b", "f")]
        with pytest.raises(InvalidNamespaceError):
            filled.batch([ListNamespacesOp((MatchCondition("prefix", "a.b"),))])  # type: ignore[arg-type]  # on purpose

    def test_namespaces_deletes_leave_no_phantom(self, filled: StoreFacade) -> None:
        """A namespace is listed only while it has an item."""
        filled.delete(("ab", "c"), "x")
        assert ("ab", "c") in filled.list_namespaces()
        filled.delete(("ab", "c"), "y")
        assert ("ab", "c") not in filled.list_namespaces()
        filled.batch([PutOp(at, key, None) for at in SPACES for key in ("x", "y")])
        assert filled.list_namespaces() == []

    def test_namespaces_deleted_whole(self, filled: StoreFacade) -> None:
        """`delete_namespace` deletes the items of a namespace and its descendants; a dry run only
        counts them."""
        before = filled.list_namespaces()
        assert filled.call("delete_namespace", ("a", "b"), dry_run=True) == 8
        assert filled.list_namespaces() == before
        assert filled.call("delete_namespace", ("a", "b")) == 8
        assert filled.list_namespaces() == [at for at in before if at[:2] != ("a", "b")]
        assert filled.call("delete_namespace", ("a", "b")) == 0
        assert filled.call("delete_namespace", ("gone",), dry_run=True) == 0

    @pytest.mark.parametrize("bad", [(), [], ("",), ("a", 1)], ids=repr)
    def test_namespaces_deleted_that_are_none(self, filled: StoreFacade, bad: Any) -> None:
        """`delete_namespace` rejects an invalid or empty namespace, which might delete
        everything."""
        with pytest.raises(ValueError, match=r"prefix|namespace"):
            filled.call("delete_namespace", bad)
        assert len(filled.list_namespaces()) == len(SPACES)

    def test_namespaces_many(self, store: StoreFacade) -> None:
        """Pages are correct over more namespaces than a page of the database has."""
        spaces = [("u", f"{n:05}", "memories") for n in range(2500)]
        store.batch([PutOp(at, "x", {"n": 1}) for at in spaces])
        found = []
        for offset in range(0, 2500, 999):
            found += store.list_namespaces(prefix=("u",), limit=999, offset=offset)
        assert found == spaces
        assert store.list_namespaces(max_depth=1) == [("u",)]
        assert store.list_namespaces(suffix=("02000", "memories")) == [spaces[2000]]
