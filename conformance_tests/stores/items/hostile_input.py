"""Clauses about hostile labels, keys and queries: they never collide, or are rejected."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.corpus import HOSTILE, UNSTORABLE
from conformance_tests.stores.base import (
    StoreClauses,
    StoreOpener,
    index_of,
    keys,
    names,
    value_of,
)
from conformance_tests.stores.facade import Call, StoreFacade
from conformance_tests.stores.harness import StoreHarness

LABELS = tuple(label for label in HOSTILE if "." not in label)  # LangGraph forbids periods
CONTROL = ("a\x01", "\x01a", "a\x01b", "a\x02", "\x02", "\x02\x02", "\x02\x03", "\x01\x01", "\x03")


@clauses_of(Capability.STORE_HOSTILE_INPUT)
class StoreHostileInputClauses(StoreClauses):
    """Clauses about labels, keys and queries of any characters."""

    def test_hostile_labels(self, store: StoreFacade) -> None:
        """Different namespaces never collide, in get, search or list_namespaces."""
        labels = [*LABELS, *CONTROL]
        store.batch([PutOp((label,), "key", {"label": label}) for label in labels])
        got = store.batch([GetOp((label,), "key") for label in labels])
        assert [value_of(item)["label"] for item in got] == labels  # type: ignore[arg-type]
        for label in labels:
            assert value_of(store.get((label,), "key")) == {"label": label}
            assert names(store.search((label,))) == [((label,), "key")]
        assert store.list_namespaces(limit=500) == sorted((label,) for label in labels)

    def test_hostile_labels_within(self, store: StoreFacade) -> None:
        """A label is never split, taken for a pattern, or matched as the end of another label."""
        spaces: list[tuple[str, ...]] = [("in", label, "x") for label in (*LABELS, *CONTROL)]
        spaces += [("in" + label,) for label in CONTROL]
        store.batch([PutOp(at, "key", {"at": list(at)}) for at in spaces])
        for at in spaces:
            assert names(store.search(at)) == [(at, "key")]
            assert names(store.search(at[:2])) == [(at, "key")]
        assert len(store.search(("in",), limit=500)) == len(LABELS) + len(CONTROL)
        assert store.list_namespaces(prefix=("in",), limit=500) == sorted(
            at for at in spaces if at[0] == "in"
        )
        for label in ("*", "%", "a_b", "\x01a"):
            found = store.list_namespaces(prefix=("in", label), limit=500)
            assert ("in", label, "x") in found
            assert label == "*" or len(found) == 1
            suffix = store.list_namespaces(suffix=(label, "x"), limit=500)
            assert ("in", label, "x") in suffix
            assert label == "*" or len(suffix) == 1

    def test_hostile_boundaries(self, store: StoreFacade) -> None:
        """Namespaces with different boundaries between labels are different."""
        spaces = [
            ("a", "b"),
            ("ab",),
            ("a", "b", "c"),
            ("a\x01b",),
            ("a\x01", "b"),
            ("a", "\x01b"),
            ("a\x02", "b"),
            ("a\x02\x02b",),
            ("a/b",),
            ("a:b",),
            ("a|b",),
            ("a,b",),
            ('a","b',),
        ]
        store.batch([PutOp(at, "key", {"at": list(at)}) for at in spaces])
        for at in spaces:
            assert value_of(store.get(at, "key")) == {"at": list(at)}
        assert store.list_namespaces() == sorted(spaces)
        assert len(store.search(("a",))) == 3

    def test_hostile_labels_with_dots(self, store: StoreFacade, harness: StoreHarness) -> None:
        """A batch rejects labels with periods in every kind of operation, as LangGraph's methods
        do."""
        with pytest.raises(InvalidNamespaceError):
            store.put(("a.b",), "key", {"n": 1})
        for space in (("a.b",), ("a", "b.c"), (".",), ("a", "b."), ("a.b", "*")):
            for op in (
                PutOp(space, "key", {"n": 1}),
                PutOp(space, "key", None),
                GetOp(space, "key"),
                SearchOp(space),
                ListNamespacesOp((MatchCondition("prefix", space),)),
                ListNamespacesOp((MatchCondition("suffix", space),)),
            ):
                with pytest.raises(InvalidNamespaceError):
                    store.batch([PutOp(("a",), "key", {"n": 2}), op])
        assert dict(harness.rows()) == {"items": 0, "vectors": 0}
        assert store.list_namespaces() == []

    def test_hostile_reserved_root(self, store: StoreFacade, harness: StoreHarness) -> None:
        """A batch rejects a put under LangGraph's root label, as `put` does. Reading and deleting
        there is allowed, and so is the label below another root.
        """
        for space in (("langgraph",), ("langgraph", "x")):
            with pytest.raises(InvalidNamespaceError):
                store.put(space, "key", {"n": 1})
            with pytest.raises(InvalidNamespaceError):
                store.batch([PutOp(("a",), "key", {"n": 2}), PutOp(space, "key", {"n": 1})])
            assert store.get(space, "key") is None
            assert store.batch([GetOp(space, "key"), SearchOp(space)]) == [None, []]
            store.delete(space, "key")
        assert dict(harness.rows()) == {"items": 0, "vectors": 0}
        store.batch([PutOp(("a", "langgraph"), "key", {"n": 1})])
        assert store.list_namespaces() == [("a", "langgraph")]

    def test_hostile_namespaces_fail_alone(self, store: StoreFacade) -> None:
        """Of calls made at once, only the one with the invalid namespace fails."""
        good: list[Call] = [("put", (("u", f"{n}"), "key", {"n": n}), {}) for n in range(3)]
        bad: list[Call] = [
            ("batch", ([PutOp(("u.9",), "key", {"n": 9})],), {}),
            ("batch", ([PutOp(("u", "x"), "key", {"n": 9}), GetOp(("",), "key")],), {}),
            ("batch", ([PutOp(("langgraph",), "key", {"n": 9})],), {}),
        ]
        results = store.together([good[0], bad[0], good[1], bad[1], bad[2], good[2]])
        assert [isinstance(one, InvalidNamespaceError) for one in results] == [
            False,
            True,
            False,
            True,
            True,
            False,
        ]
        assert store.list_namespaces() == [("u", "0"), ("u", "1"), ("u", "2")]

    def test_hostile_keys(self, store: StoreFacade) -> None:
        """Different keys never collide, and a key never collides with a label."""
        everything = [*HOSTILE, *CONTROL, ""]
        store.batch([PutOp(("n",), key, {"key": key}) for key in everything])
        for key in everything:
            assert value_of(store.get(("n",), key)) == {"key": key}
        assert sorted(keys(store.search(("n",), limit=500))) == sorted(everything)
        assert store.list_namespaces() == [("n",)]
        for key in everything[::5]:
            store.delete(("n",), key)
        assert len(store.search(("n",), limit=500)) == len(everything) - len(everything[::5])

    @pytest.mark.parametrize("bad", UNSTORABLE, ids=ascii)
    def test_hostile_what_cannot_be_kept(
        self, store: StoreFacade, harness: StoreHarness, bad: str
    ) -> None:
        """NUL and lone surrogates are rejected in every argument, on every backend."""
        for ops in (
            [PutOp((bad,), "key", {"n": 1})],
            [PutOp(("n", bad), "key", {"n": 1})],
            [PutOp(("n",), bad, {"n": 1})],
            [PutOp(("n",), bad, None)],
            [GetOp(("n", bad), "key")],
            [GetOp(("n",), bad)],
            [SearchOp((bad,))],
            [ListNamespacesOp((MatchCondition("suffix", (bad,)),))],
        ):
            with pytest.raises(ValueError, match=r"NUL|UTF-8"):
                store.batch(ops)
        assert harness.rows()["items"] == 0

    @pytest.mark.parametrize("bad", [(), ("",), ("a", ""), (1,), (None,), "abc", ([],)], ids=repr)
    def test_hostile_no_namespace(self, store: StoreFacade, bad: Any) -> None:
        """An empty namespace, or one with an invalid label, is rejected."""
        with pytest.raises(ValueError, match="namespace"):
            store.batch([PutOp(bad, "key", {"n": 1})])
        with pytest.raises(ValueError, match="namespace"):
            store.batch([GetOp(bad, "key")])

    def test_hostile_queries(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """A query is only passed to the embedding model, and never becomes part of a statement."""
        embed = [[1.0, 0.0, 0.0]]
        store = reopened(index=index_of(harness, lambda texts: embed * len(texts)))
        store.batch([PutOp((label,), label, {"text": label}) for label in LABELS])
        for label in LABELS:
            assert names(store.search((label,), query=label)) == [((label,), label)]
