"""Clauses about with_allowlist, by which graph.compile clones a saver with another allowlist."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    ids,
    metadata,
    new_versions,
    on,
    values,
)
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses


@dataclass
class Listed:
    """A user-defined type that the clone's allowlist names."""

    text: str


ALLOWED = [(Listed.__module__, Listed.__name__)]


def strict() -> JsonPlusSerializer:
    """A serializer that restores only the types of its allowlist."""
    return JsonPlusSerializer(allowed_msgpack_modules=[("collections", "OrderedDict")])


def read_or_error(saver: Facade, chain: Chain) -> object:
    """The channel `a` of the newest checkpoint, or the error that the saver raises."""
    try:
        return values(saver.get_tuple(chain.head))["a"]
    except Exception as error:  # noqa: BLE001 (which one is the saver's business)
        return error


@clauses_of(Capability.ALLOWLIST)
class AllowlistClauses(SaverClauses):
    """Clauses of `with_allowlist`."""

    def test_allowlist_clone_reads_and_writes_the_same_threads(self, reopened: Opener) -> None:
        """The saver and its clone read each other's data at once."""
        saver = reopened(serde=strict())
        clone = saver.with_allowlist(ALLOWED)
        assert clone.raw is not saver.raw
        assert type(clone.raw) is type(saver.raw)
        chain = Chain(saver)
        chain.put({"a": 1})
        assert values(clone.get_tuple(chain.head)) == {"a": 1}
        body = checkpoint({"a": 2})
        stored = clone.put(chain.head, body, metadata(), new_versions(body))
        clone.put_writes(stored, [("a", 3)], "task")
        assert values(saver.get_tuple(on(chain.thread_id))) == {"a": 2}
        assert ids(saver.list(on(chain.thread_id))) == ids(clone.list(on(chain.thread_id)))
        if clone.offers("delete_thread"):
            clone.delete_thread(chain.thread_id)
            assert saver.get_tuple(on(chain.thread_id)) is None

    def test_allowlist_only_the_serializer_differs(self, reopened: Opener) -> None:
        """The clone restores the listed type; the original saver still does not."""
        saver = reopened(serde=strict())
        clone = saver.with_allowlist(ALLOWED)
        chain = Chain(clone)
        chain.put({"a": Listed("x")})
        assert values(clone.get_tuple(chain.head)) == {"a": Listed("x")}
        # an error, or another value: see the capability `unreadable`
        assert not isinstance(read_or_error(saver, chain), Listed)

    def test_allowlist_clone_of_a_saver_that_was_not_used_yet(self, reopened: Opener) -> None:
        """`compile` clones before the first call: what that call prepares is shared."""
        saver = reopened(serde=strict())
        clones = [saver.with_allowlist(ALLOWED), saver.with_allowlist([("other", "Type")])]
        for n, each in enumerate([*clones, saver]):
            each.setup()
            chain = Chain(each)
            chain.put({"n": n})
            assert values(saver.get_tuple(chain.head)) == {"n": n}

    def test_allowlist_copies_share_all_state(self, saver: Facade) -> None:
        """The base class clones by `copy.copy`, which must share locks and caches, not copy
        them."""
        twin = copy.copy(saver)
        twin.raw = copy.copy(saver.raw)
        chain = Chain(saver)
        chain.put({"a": "x" * 50_000})
        other = Chain(twin, chain.thread_id)
        other.put({"a": "x" * 50_000 + "y"})
        assert values(saver.get_tuple(on(chain.thread_id))) == {"a": "x" * 50_000 + "y"}
        if twin.offers("delete_thread"):
            twin.delete_thread(chain.thread_id)
        again = Chain(saver, chain.thread_id)
        again.put({"a": "x" * 50_000})
        assert values(twin.get_tuple(again.head)) == {"a": "x" * 50_000}
