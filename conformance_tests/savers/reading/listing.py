"""Clauses about list: newest first, and no lock or connection is held between two items."""

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

PAGES = 130  # checkpoints: more than the page size of any backend is likely to be


def chain_of(saver: Facade, length: int, thread: str | None = None, ns: str = "") -> Chain:
    """Put a thread of `length` checkpoints."""
    chain = Chain(saver, thread, ns)
    for n in range(length):
        chain.put({"n": n})
    return chain


@clauses_of(Capability.LIST)
class ListClauses(SaverClauses):
    """Clauses of `list` about the selection and order of checkpoints."""

    def test_list_newest_first(self, saver: Facade) -> None:
        """Checkpoints are listed newest first, as `get_state_history` shows them."""
        chain = Chain(saver)
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(7)]
        assert ids(saver.list(on(chain.thread_id))) == stored[::-1]

    def test_list_order_is_that_of_ids_not_of_puts(self, saver: Facade) -> None:
        """The order is that of ids, compared as Python strings, whatever the database's
        collation."""
        thread, names = new_thread(), ["b", "A", "a", "Z", "_", "1", "-", "B", "aa", "a-a", "é"]
        for name in names:
            saver.put(on(thread), checkpoint({}, id=name), metadata(), {})
        assert ids(saver.list(on(thread))) == sorted(names, reverse=True)
        assert the(saver.get_tuple(on(thread))).checkpoint["id"] == max(names)
        before = ids(saver.list(on(thread), before=on(thread, "", "a")))
        assert before == sorted([n for n in names if n < "a"], reverse=True)

    def test_list_across_namespaces_when_none_is_given(self, saver: Facade) -> None:
        """Without a namespace, all are listed in one order; with one, also "", only that one is."""
        thread = new_thread()
        chains = [Chain(saver, thread, ns) for ns in ("", "sub:1", "sub:2|deep:1")]
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(3) for chain in chains]
        assert ids(saver.list(on(thread, ns=None))) == stored[::-1]
        for place, chain in enumerate(chains):
            own = stored[place::3][::-1]
            assert ids(saver.list(on(thread, chain.ns))) == own

    def test_list_across_threads_without_a_config(self, saver: Facade) -> None:
        """Without a config, the checkpoints of all threads are listed, in one order."""
        chains = [Chain(saver) for _ in range(3)]
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(4) for chain in chains]
        assert ids(saver.list(None)) == stored[::-1]
        assert ids(saver.list(None, limit=5)) == stored[::-1][:5]
        before = chains[0].head
        expected = [name for name in stored[::-1] if name < checkpoint_id(before)]
        assert ids(saver.list(None, before=before)) == expected

    def test_list_named_checkpoint(self, saver: Facade) -> None:
        """A config with a checkpoint id lists only that checkpoint."""
        chain = Chain(saver)
        stored = [chain.put({"n": n}) for n in range(3)]
        assert ids(saver.list(stored[1])) == [checkpoint_id(stored[1])]
        assert ids(saver.list(on(chain.thread_id, "", new_id()))) == []

    def test_list_absent_thread(self, saver: Facade) -> None:
        """For an absent thread, the list is empty, not an error."""
        chain_of(saver, 2)
        assert list(saver.list(on(new_thread()))) == []

    @pytest.mark.parametrize("limit", [0, 1, 3, 5, 6, 1000])
    def test_list_limit(self, saver: Facade, limit: int) -> None:
        """At most `limit` checkpoints are listed; 0 means none, not all."""
        chain = Chain(saver)
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(6)]
        assert ids(saver.list(on(chain.thread_id), limit=limit)) == stored[::-1][:limit]

    def test_list_before(self, saver: Facade) -> None:
        """`before` lists checkpoints older than the named one, without it."""
        chain = Chain(saver)
        stored = [chain.put({"n": n}) for n in range(6)]
        names = [checkpoint_id(config) for config in stored]
        got = ids(saver.list(on(chain.thread_id), before=stored[3]))
        assert got == names[:3][::-1]
        assert ids(saver.list(on(chain.thread_id), before=stored[3], limit=2)) == got[:2]
        assert ids(saver.list(on(chain.thread_id), before=stored[0])) == []

    def test_list_before_need_not_exist(self, saver: Facade) -> None:
        """Paging continues although the checkpoint named by `before` was deleted meanwhile."""
        chain = Chain(saver)
        names = [checkpoint_id(chain.put({"n": n})) for n in range(3)]
        gone = on(chain.thread_id, "", new_id())
        chain.put({"n": 3})
        assert ids(saver.list(on(chain.thread_id), before=gone)) == names[::-1]

    def test_list_pages_by_before_lose_and_repeat_nothing(self, saver: Facade) -> None:
        """Pages by `before` and `limit` make up the whole list, as user interfaces need."""
        chain, seen, before = Chain(saver), [], None
        stored = [checkpoint_id(chain.put({"n": n})) for n in range(23)]
        for _ in range(6):  # bounded, since a saver may ignore `before`
            page = list(saver.list(on(chain.thread_id), before=before, limit=5))
            seen += ids(page)
            before = page[-1].config if page else before
        assert seen == stored[::-1]

    def test_list_long_histories_come_whole(self, saver: Facade) -> None:
        """A long list, which the saver reads in pages, neither loses nor repeats an item, and each
        item is complete."""
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
        """Each listed checkpoint has its `parent_config`, from which tools draw the tree of
        forks."""
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
    """Clauses of `list` about other calls while its iterator is partly consumed."""

    def test_list_get_tuple_inside_the_loop(self, saver: Facade) -> None:
        """`get_tuple` works inside a loop over `list`, as LangGraph does for subgraphs; a lock held
        by `list` would cause a deadlock."""
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
        """No lock or connection is held between items: this saver and others can write."""
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
        """Two iterators of one saver are independent."""
        one, two = chain_of(saver, 9), chain_of(saver, 9)
        pairs = list(zip(saver.list(on(one.thread_id)), saver.list(on(two.thread_id)), strict=True))
        assert [found.checkpoint["channel_values"]["n"] for found, _ in pairs] == [
            *range(8, -1, -1)
        ]
        assert {found.config["configurable"]["thread_id"] for _, found in pairs} == {two.thread_id}

    def test_list_new_checkpoints_while_half_consumed(self, saver: Facade) -> None:
        """Checkpoints put during the iteration do not change the rest of the list."""
        chain = chain_of(saver, PAGES)
        expected = ids(saver.list(on(chain.thread_id)))
        got = []
        for found in saver.list(on(chain.thread_id)):
            got += ids([found])
            if len(got) % 10 == 0:
                chain.put({"n": -1})
        assert got == expected

    def test_list_deletion_while_half_consumed(self, saver: Facade) -> None:
        """If checkpoints are deleted during the iteration, it ends, and every item is whole."""
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
        """An abandoned iterator, as of `next(saver.list(...))`, holds no lock or connection."""
        chain = chain_of(saver, PAGES)
        kept = [saver.list(on(chain.thread_id)) for _ in range(20)]
        assert {each.checkpoint["channel_values"]["n"] for each in map(next, kept)} == {PAGES - 1}
        chain.put({"n": "newer"})
        for generator in kept:
            generator.close()
        assert values(saver.get_tuple(on(chain.thread_id))) == {"n": "newer"}
