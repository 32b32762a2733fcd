"""list: newest first, and nothing is held between two items."""

from __future__ import annotations

import itertools

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    checkpoint_id,
    ids,
    metadata,
    new_id,
    new_thread,
    new_versions,
    on,
    the,
    values,
)
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses

PAGES = 130  # more checkpoints than a page of any backend is likely to hold


def chain_of(saver: Facade, length: int, thread: str | None = None, ns: str = "") -> Chain:
    """A thread with this many checkpoints."""
    chain = Chain(saver, thread, ns)
    for n in range(length):
        chain.put({"n": n})
    return chain


@clauses_of(Capability.LIST)
class ListClauses(SaverClauses):
    """Clauses of `list` about what comes, and in which order."""

    def test_list_newest_first(self, saver: Facade) -> None:
        """`get_state_history` starts with the present."""
        chain = Chain(saver)
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(7)]
        assert ids(saver.list(on(chain.thread_id))) == stored[::-1]

    def test_list_order_is_that_of_ids_not_of_puts(self, saver: Facade) -> None:
        """Ids compare as Python compares strings, whatever the database's collation."""
        thread, names = new_thread(), ["b", "A", "a", "Z", "_", "1", "-", "B", "aa", "a-a", "é"]
        for name in names:
            saver.put(on(thread), checkpoint({}, id=name), metadata(), {})
        assert ids(saver.list(on(thread))) == sorted(names, reverse=True)
        assert the(saver.get_tuple(on(thread))).checkpoint["id"] == max(names)
        before = ids(saver.list(on(thread), before=on(thread, "", "a")))
        assert before == sorted([n for n in names if n < "a"], reverse=True)

    def test_list_across_namespaces_when_none_is_given(self, saver: Facade) -> None:
        """One order for all namespaces; a given one, even the root's "", selects."""
        thread = new_thread()
        chains = [Chain(saver, thread, ns) for ns in ("", "sub:1", "sub:2|deep:1")]
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(3) for chain in chains]
        assert ids(saver.list(on(thread, ns=None))) == stored[::-1]
        for place, chain in enumerate(chains):
            own = stored[place::3][::-1]
            assert ids(saver.list(on(thread, chain.ns))) == own

    def test_list_across_threads_without_a_config(self, saver: Facade) -> None:
        """Tools look at everything; one order for all threads."""
        chains = [Chain(saver) for _ in range(3)]
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(4) for chain in chains]
        assert ids(saver.list(None)) == stored[::-1]
        assert ids(saver.list(None, limit=5)) == stored[::-1][:5]
        before = chains[0].head
        expected = [name for name in stored[::-1] if name < checkpoint_id(before)]
        assert ids(saver.list(None, before=before)) == expected

    def test_list_named_checkpoint(self, saver: Facade) -> None:
        """A config that names a checkpoint lists that one."""
        chain = Chain(saver)
        stored = [chain.put({"n": n}) for n in range(3)]
        assert ids(saver.list(stored[1])) == [checkpoint_id(stored[1])]
        assert ids(saver.list(on(chain.thread_id, "", new_id()))) == []

    def test_list_absent_thread(self, saver: Facade) -> None:
        """Nothing, and no error."""
        chain_of(saver, 2)
        assert list(saver.list(on(new_thread()))) == []

    @pytest.mark.parametrize("limit", [0, 1, 3, 5, 6, 1000])
    def test_list_limit(self, saver: Facade, limit: int) -> None:
        """At most so many; 0 is none, not all."""
        chain = Chain(saver)
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(6)]
        assert ids(saver.list(on(chain.thread_id), limit=limit)) == stored[::-1][:limit]

    def test_list_before(self, saver: Facade) -> None:
        """Older than the named checkpoint, which is left out."""
        chain = Chain(saver)
        stored = [chain.put({"n": n}) for n in range(6)]
        names = [checkpoint_id(config) for config in stored]
        got = ids(saver.list(on(chain.thread_id), before=stored[3]))
        assert got == names[:3][::-1]
        assert ids(saver.list(on(chain.thread_id), before=stored[3], limit=2)) == got[:2]
        assert ids(saver.list(on(chain.thread_id), before=stored[0])) == []

    def test_list_before_need_not_exist(self, saver: Facade) -> None:
        """A page goes on although the checkpoint it stopped at was deleted meanwhile."""
        chain = Chain(saver)
        names = [checkpoint_id(chain.put({"n": n})) for n in range(3)]
        gone = on(chain.thread_id, "", new_id())
        chain.put({"n": 3})
        assert ids(saver.list(on(chain.thread_id), before=gone)) == names[::-1]

    def test_list_pages_by_before_lose_and_repeat_nothing(self, saver: Facade) -> None:
        """The way a user interface pages through a history."""
        chain, seen, before = Chain(saver), [], None
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(23)]
        for _ in range(6):  # no more: `before` may be ignored
            page = list(saver.list(on(chain.thread_id), before=before, limit=5))
            seen += ids(page)
            before = page[-1].config if page else before
        assert seen == stored[::-1]

    def test_list_long_histories_come_whole(self, saver: Facade) -> None:
        """Pages inside the saver lose and repeat nothing, and each item is complete."""
        chain = Chain(saver)
        for n in range(PAGES):
            chain.put({"n": n})
            chain.write(("n", n), task=f"t{n}")
        found = list(saver.list(on(chain.thread_id)))
        assert [each.checkpoint["channel_values"]["n"] for each in found] == [
            *range(PAGES - 1, -1, -1)
        ]
        assert [each.pending_writes for each in found] == [
            [(f"t{n}", "n", n)] for n in range(PAGES - 1, -1, -1)
        ]

    def test_list_parents_in_a_list(self, saver: Facade) -> None:
        """The tree of forks is drawn from `parent_config`."""
        chain = Chain(saver)
        root = chain.put({"n": 0})
        other = chain.fork()
        left, right = chain.put({"n": 1}), other.put({"n": 2})
        parents = {
            each.checkpoint["id"]: each.parent_config and checkpoint_id(each.parent_config)
            for each in saver.list(on(chain.thread_id))
        }
        top = checkpoint_id(root)
        assert parents == {top: None, checkpoint_id(left): top, checkpoint_id(right): top}


@clauses_of(Capability.LIST)
class ListWhileClauses(SaverClauses):
    """Clauses of `list` about what may happen while it is half consumed."""

    def test_list_get_tuple_inside_the_loop(self, saver: Facade) -> None:
        """LangGraph itself does that for subgraphs; a held lock would never be released."""
        chain = chain_of(saver, 12)
        seen = 0
        for found in saver.list(on(chain.thread_id)):
            assert values(saver.get_tuple(found.config)) == values(found)
            assert the(saver.get_tuple(on(chain.thread_id))).checkpoint["id"] == checkpoint_id(
                chain.head
            )
            seen += 1
        assert seen == 12

    def test_list_other_calls_while_half_consumed(self, saver: Facade, reopened: Opener) -> None:
        """No lock and no connection is held: neither this saver nor another has to wait."""
        chain = chain_of(saver, PAGES)
        other = reopened()
        listed = saver.list(on(chain.thread_id))
        first = ids(itertools.islice(listed, 3))
        for writer in (saver, other):
            body = checkpoint({"a": 1})
            stored = writer.put(on(new_thread()), body, metadata(), new_versions(body))
            writer.put_writes(stored, [("a", 2)], "task")
            writer.put_writes(chain.head, [("a", 2)], "task")
            assert ids(writer.list(stored)) == [body["id"]]
            writer.delete_thread(stored["configurable"]["thread_id"])
        rest = ids(listed)
        assert first + rest == ids(saver.list(on(chain.thread_id)))

    def test_list_two_lists_at_once(self, saver: Facade) -> None:
        """Each generator has a place of its own."""
        one, two = chain_of(saver, 9), chain_of(saver, 9)
        pairs = list(zip(saver.list(on(one.thread_id)), saver.list(on(two.thread_id)), strict=True))
        assert [found.checkpoint["channel_values"]["n"] for found, _ in pairs] == [
            *range(8, -1, -1)
        ]
        assert {found.config["configurable"]["thread_id"] for _, found in pairs} == {two.thread_id}

    def test_list_new_checkpoints_while_half_consumed(self, saver: Facade) -> None:
        """What comes later is newer: it does not disturb the rest of the history."""
        chain = chain_of(saver, PAGES)
        expected = ids(saver.list(on(chain.thread_id)))
        got = []
        for found in saver.list(on(chain.thread_id)):
            got += ids([found])
            if len(got) % 10 == 0:
                chain.put({"n": -1})
        assert got == expected

    def test_list_deletion_while_half_consumed(self, saver: Facade) -> None:
        """What is gone may or may not still come; what comes is whole, and it ends."""
        chain = chain_of(saver, PAGES)
        got = []
        for found in saver.list(on(chain.thread_id)):
            assert values(found) == {"n": found.metadata["step"]}
            got.append(found.metadata["step"])
            if len(got) == 3:
                saver.delete_thread(chain.thread_id)
        assert got == list(range(PAGES - 1, PAGES - 1 - len(got), -1))
        assert list(saver.list(on(chain.thread_id))) == []

    def test_list_abandoned_generator_holds_nothing(self, saver: Facade) -> None:
        """`next(saver.list(...))` is how tools take the newest one."""
        chain = chain_of(saver, PAGES)
        kept = [saver.list(on(chain.thread_id)) for _ in range(20)]
        assert {each.checkpoint["channel_values"]["n"] for each in map(next, kept)} == {PAGES - 1}
        chain.put({"n": "newer"})
        for generator in kept:
            generator.close()
        assert values(saver.get_tuple(on(chain.thread_id))) == {"n": "newer"}
