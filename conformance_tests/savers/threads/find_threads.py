"""Clauses about finding threads: by the metadata and the status of their newest checkpoint."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.types import Interrupt

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    checkpoint_id,
    large,
    metadata,
    new_id,
    on,
)
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses
from conformance_tests.savers.reading.filters import DIFFERENT, EQUAL
from conformance_tests.savers.threads.list_threads import all_pages, flat, names
from conformance_tests.savers.values.encryption import KEY, encrypting

LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)


def owned(saver: Facade, thread: str, user: str, *, ns: str = "", **entries: Any) -> Chain:
    """Put a checkpoint of a user's thread."""
    chain = Chain(saver, thread, ns)
    chain.put({"a": 1}, user_id=user, **entries)
    return chain


def asking(saver: Facade, thread: str, user: str, *questions: Any, task: str = "task-1") -> Chain:
    """Put a user's thread, one task of which asks these questions."""
    chain = owned(saver, thread, user)
    chain.write((INTERRUPT, _asked(thread, *questions)), task=task)
    return chain


def _asked(thread: str, *questions: Any) -> tuple[Interrupt, ...]:
    return tuple(Interrupt(value=value, id=f"{thread}-{n}") for n, value in enumerate(questions))


def found(saver: Facade, **options: Any) -> list[str]:
    """The ids of the threads that a call lists, sorted."""
    return sorted(names(saver.list_threads(limit=1000, **options)))


@clauses_of(Capability.FIND_THREADS)
class FindThreadsClauses(SaverClauses):
    """Clauses of `list_threads`, `count_threads` and `delete_threads` with a filter or a status."""

    def test_find_threads_by_metadata(self, saver: Facade) -> None:
        """A thread matches if its newest checkpoint's metadata has all entries of the filter."""
        owned(saver, "one", "ann", tier="free")
        owned(saver, "two", "ann", tier="paid")
        owned(saver, "three", "bob", tier="free")
        config = on("configured", user_id="ann")
        config["metadata"] = {"tier": "free"}
        saver.put(config, checkpoint({}), metadata(), {})
        Chain(saver, "other").put({"a": 1})
        assert found(saver, filter={"user_id": "ann"}) == ["configured", "one", "two"]
        assert found(saver, filter={"user_id": "ann", "tier": "free"}) == ["configured", "one"]
        assert found(saver, filter={"user_id": "carl"}) == []
        assert found(saver, filter={"user_id": None}) == ["other"]
        assert len(found(saver, filter={})) == 5

    def test_find_threads_by_the_newest_checkpoint(self, saver: Facade) -> None:
        """What an older checkpoint says does not count: a thread that was handed over is found
        under its new owner."""
        chain = owned(saver, "one", "ann")
        chain.put({"a": 2}, user_id="bob")
        assert found(saver, filter={"user_id": "ann"}) == []
        assert found(saver, filter={"user_id": "bob"}) == ["one"]

    def test_find_threads_by_the_root_namespace(self, saver: Facade) -> None:
        """What a subgraph's checkpoint says does not count, also if it is newer."""
        owned(saver, "one", "ann").write(("a", 1))
        inner = owned(saver, "one", "bob", ns="sub:1")
        inner.write((INTERRUPT, _asked("one", "?")), (ERROR, "failed"))
        assert found(saver, filter={"user_id": "ann"}, status="idle") == ["one"]
        assert found(saver, filter={"user_id": "bob"}) == []

    @pytest.mark.parametrize("case", DIFFERENT)
    def test_find_threads_different_json_values(self, saver: Facade, case: str) -> None:
        """Entries are compared as JSON values, as the filter of `list` compares them."""
        one, other = DIFFERENT[case]
        owned(saver, "one", "ann", k=one)
        owned(saver, "other", "ann", k=other)
        assert found(saver, filter={"k": one}) == ["one"]
        assert found(saver, filter={"k": other}) == ["other"]

    @pytest.mark.parametrize("case", EQUAL)
    def test_find_threads_equal_json_values(self, saver: Facade, case: str) -> None:
        """Any JSON value can be searched for."""
        one, other = EQUAL[case]
        owned(saver, "one", "ann", k=one)
        owned(saver, "other", "ann", k=other)
        owned(saver, "x", "ann", k="x")
        assert found(saver, filter={"k": one}) == ["one", "other"]
        assert found(saver, filter={"k": other}) == ["one", "other"]

    def test_find_threads_with_encrypted_metadata(self, reopened: Opener) -> None:
        """With an encrypting serializer, threads are found by entries that the database cannot
        read."""
        saver = reopened(serde=encrypting(KEY))
        owned(saver, "one", "ann")
        owned(saver, "two", "bob")
        asking(saver, "three", "ann", "?")
        assert found(saver, filter={"user_id": "ann"}) == ["one", "three"]
        assert found(saver, filter={"user_id": "ann"}, status="interrupted") == ["three"]
        assert [asked.value for asked in saver.interrupts(filter={"user_id": "ann"})] == ["?"]

    def test_find_threads_by_status(self, saver: Facade) -> None:
        """A task with an interrupt and no output makes a thread interrupted, a task with an error
        makes it an error, and else it is idle."""
        owned(saver, "idle", "ann")
        owned(saver, "under way", "ann").write(("a", 2))
        owned(saver, "failed", "ann").write((ERROR, "failed"))
        asking(saver, "asks", "bob", "?").write(("a", 1), task="task-2")
        asking(saver, "asks and failed", "ann", "?").write((ERROR, "failed"), task="task-2")
        asking(saver, "resumed", "ann", "?").write((RESUME, ["yes"]))
        asking(saver, "answered", "ann", "?").write(("a", "yes"))
        asking(saver, "gone on", "ann", "?").put({"a": 2})
        asks = ["asks", "asks and failed", "resumed"]
        assert found(saver, status="interrupted") == asks
        assert found(saver, status="error") == ["failed"]
        assert found(saver, status="idle") == ["answered", "gone on", "idle", "under way"]
        assert found(saver, status="interrupted", filter={"user_id": "bob"}) == ["asks"]

    def test_find_threads_without_a_root_checkpoint(self, saver: Facade) -> None:
        """A thread that has only writes, or only a subgraph's checkpoints, is idle and has no
        metadata."""
        saver.put_writes(on("writes", "", new_id()), [(INTERRUPT, _asked("writes", "?"))], "task")
        owned(saver, "subgraph", "ann", ns="sub:1")
        assert found(saver) == found(saver, status="idle") == ["subgraph", "writes"]
        assert found(saver, filter={"user_id": "ann"}) == []
        assert found(saver, filter={"user_id": None}) == ["subgraph", "writes"]
        assert list(saver.interrupts()) == []

    @pytest.mark.parametrize("limit", [1, 3, 100])
    def test_find_threads_in_pages(self, saver: Facade, harness: SaverHarness, limit: int) -> None:
        """Pages of the threads that match neither lose nor repeat one, the last updated first,
        however many others are in between."""
        for n in range(120):
            owned(saver, f"thread {n:03}", "ann" if n % 30 in (7, 8) else "bob")
            if n % 4 == 0:
                harness.advance(1)
        expected = [f"thread {n:03}" for n in range(119, -1, -1) if n % 30 in (7, 8)]
        pages = all_pages(saver, limit, filter={"user_id": "ann"})
        assert sorted(flat(pages)) == sorted(expected)
        order = [name for name in names(saver.list_threads(limit=200)) if name in expected]
        assert flat(pages) == order
        assert all(len(page) == limit for page in pages[:-1])

    def test_find_threads_with_prefix_and_times(self, saver: Facade, harness: SaverHarness) -> None:
        """Filter and status go together with the prefix and the times."""
        for n in range(8):
            owned(saver, f"{'xy'[n % 2]}-{n}", "ann" if n < 6 else "bob")
            harness.advance(10)
        listed = {info.thread_id: info.updated_at for info in saver.list_threads().threads}
        assert found(saver, filter={"user_id": "ann"}, prefix="x") == ["x-0", "x-2", "x-4"]
        bounds = {"updated_before": listed["y-5"], "updated_after": listed["x-0"]}
        assert found(saver, filter={"user_id": "ann"}, prefix="x", **bounds) == ["x-2", "x-4"]
        assert found(saver, status="idle", prefix="y", **bounds) == ["y-1", "y-3"]
        assert saver.count_threads(filter={"user_id": "ann"}, prefix="x", **bounds) == 2

    def test_find_threads_not_the_expired(self, reopened: Opener, harness: SaverHarness) -> None:
        """Expired threads are neither found nor counted."""
        saver = reopened(ttl={"default_ttl": 1})
        asking(saver, "one", "ann", "?")
        assert saver.count_threads(filter={"user_id": "ann"}) == 1
        harness.advance(61)
        assert saver.count_threads(filter={"user_id": "ann"}) == 0
        assert found(saver, status="interrupted") == []
        assert list(saver.interrupts()) == []

    def test_find_threads_counts(self, saver: Facade) -> None:
        """`count_threads` counts what `list_threads` lists."""
        assert saver.count_threads() == 0
        for n in range(130):
            owned(saver, f"thread {n}", "ann" if n % 3 else "bob")
        assert saver.count_threads() == 130
        assert saver.count_threads(filter={"user_id": "bob"}) == 44
        assert saver.count_threads(filter={"user_id": "bob"}, status="error") == 0

    def test_find_threads_deletes(self, saver: Facade) -> None:
        """`delete_threads` deletes the threads that match, and no others; a dry run only counts
        them."""
        for n in range(6):
            owned(saver, f"thread {n}", "ann" if n % 2 else "bob")
            owned(saver, f"thread {n}", "carl", ns="sub:1")
        assert saver.delete_threads(filter={"user_id": "ann"}, dry_run=True) == 3
        assert saver.count_threads() == 6
        assert saver.delete_threads(filter={"user_id": "ann"}) == 3
        assert found(saver) == ["thread 0", "thread 2", "thread 4"]
        assert list(saver.list(on("thread 1", ns=None))) == []
        assert saver.delete_threads(filter={"user_id": "ann"}) == 0
        assert saver.delete_threads(prefix="thread 2") == 1
        assert saver.delete_threads(status="idle", updated_after=LONG_AGO) == 2
        assert found(saver) == []

    def test_find_threads_deletes_nothing_without_a_condition(self, saver: Facade) -> None:
        """A call without a condition is rejected: a filter that was built and is empty would
        delete all threads."""
        owned(saver, "one", "ann")
        options: dict[str, Any]
        for options in ({}, {"filter": {}}, {"filter": None, "prefix": ""}):
            with pytest.raises(ValueError, match="filter"):
                saver.delete_threads(**options)
        assert found(saver) == ["one"]

    def test_find_threads_invalid_arguments(self, saver: Facade) -> None:
        """An unknown status or order, or a filter that is no mapping, is rejected: it would find
        nothing, or everything."""
        owned(saver, "one", "ann")
        invalid: dict[str, Any]
        for invalid in ({"status": "busy"}, {"filter": "ann"}, {"order_by": "created_at"}):
            with pytest.raises(ValueError, match=next(iter(invalid))):
                saver.list_threads(**invalid)
        with pytest.raises(ValueError, match="limit"):
            saver.list_threads(filter={"user_id": "ann"}, limit=-1)
        assert names(saver.list_threads(filter={"user_id": "ann"}, limit=0)) == []
        assert found(saver, filter={"user_id": "ann"}, order_by="updated_at") == ["one"]


@clauses_of(Capability.FIND_THREADS)
class OpenInterruptClauses(SaverClauses):
    """Clauses of `interrupts`."""

    def test_find_threads_interrupts(self, saver: Facade, harness: SaverHarness) -> None:
        """`interrupts` returns each open question, with what identifies it, of the last updated
        thread first."""
        first = asking(saver, "one", "ann", "red?", {"or": ["blue?"]})
        harness.advance(10)
        second = asking(saver, "two", "bob", large(1))
        second.write(("a", 1), task="task-0")
        second.write((INTERRUPT, _asked("other", "green?")), task="task-2")
        harness.advance(10)
        owned(saver, "three", "ann")
        asking(saver, "answered", "ann", "?").write(("a", "yes"))
        asked = [tuple(each) for each in saver.interrupts()]
        one, two = checkpoint_id(first.head), checkpoint_id(second.head)
        assert asked == [
            ("two", two, "two-0", large(1)),
            ("two", two, "other-0", "green?"),
            ("one", one, "one-0", "red?"),
            ("one", one, "one-1", {"or": ["blue?"]}),
        ]
        by_user = saver.interrupts(filter={"user_id": "ann"})
        assert [each.interrupt_id for each in by_user] == ["one-0", "one-1"]
        assert [each.interrupt_id for each in saver.interrupts(prefix="t")] == ["two-0", "other-0"]

    def test_find_threads_interrupts_replaced(self, saver: Facade) -> None:
        """A task that asks again, after an answer, has only its last question."""
        chain = asking(saver, "one", "ann", "first?")
        chain.write((RESUME, ["yes"]))
        chain.write((INTERRUPT, (Interrupt(value="second?", id="2"),)))
        assert [each.value for each in saver.interrupts()] == ["second?"]

    def test_find_threads_interrupts_limit(self, saver: Facade, harness: SaverHarness) -> None:
        """`limit` counts questions, and all are found without one, also those of many threads."""
        for n in range(130):
            asking(saver, f"thread {n:03}", "ann" if n % 2 else "bob", f"{n}?", "and?")
            harness.advance(1)
        every = [each.value for each in saver.interrupts()]
        assert every[::2] == [f"{n}?" for n in range(129, -1, -1)]
        assert [each.value for each in saver.interrupts(limit=5)] == every[:5]
        assert [each.value for each in saver.interrupts(limit=201)] == every[:201]
        assert list(saver.interrupts(limit=0)) == []
        odd = saver.interrupts(filter={"user_id": "ann"}, limit=3)
        assert [each.value for each in odd] == ["129?", "and?", "127?"]
        with pytest.raises(ValueError, match="limit"):
            list(saver.interrupts(limit=-1))
