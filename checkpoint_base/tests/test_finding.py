"""How threads are found: the looks of a search, and a backend that lacks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from checkpoint_base.memory.locking import LockDriver
from checkpoint_base.memory.planner import MemoryPlanner
from checkpoint_base.memory.saver import MemorySaver
from checkpoint_base.plan import Plan
from checkpoint_base.saver.options import SaverSettings
from checkpoint_base.saver.planner import HeadPage, HeadQuery, ThreadQuery
from checkpoint_base.saver.records.kinds import ThreadPage
from checkpoint_base.saver.shell import SyncSaver
from checkpoint_base.saver.threads.mixin import ThreadAdminMixin
from checkpoint_base.saver.ttl.policy import TTLPolicy
from conformance_tests.samples.build import checkpoint, metadata, on

COUNT = 2_500
asked: list[int] = []


class Looks(MemoryPlanner):
    """Notes how many threads each look asks for."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        asked.append(query.limit)
        return (yield from super().list_heads(query))

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        asked.append(query.limit)
        return (yield from super().list_threads(query))


@pytest.fixture
def saver() -> Iterator[MemorySaver]:
    """One thread of every 500 is Ann's."""
    found = MemorySaver()
    found._planner = Looks(TTLPolicy(), lambda: 1.0)
    for n in range(COUNT):
        owner = "ann" if n % 500 == 0 else "bob"
        found.put(on(f"{n:04}"), checkpoint({}), metadata(user_id=owner), {})
    asked.clear()
    yield found
    asked.clear()


def test_a_rare_thread_is_looked_for_in_steps(saver: MemorySaver) -> None:
    page = saver.list_threads(filter={"user_id": "ann"})
    assert [info.thread_id for info in page.threads] == ["2000", "1500", "1000", "0500", "0000"]
    assert page.cursor is None
    assert asked == [100, 1000, 1000, 1000]


def test_a_full_page_ends_the_search(saver: MemorySaver) -> None:
    """The next page goes on where it ended: no thread is looked at twice but those of one look."""
    page = saver.list_threads(filter={"user_id": "bob"}, limit=10)
    assert asked == [100]
    assert [info.thread_id for info in page.threads][-1] == "2490"
    page = saver.list_threads(filter={"user_id": "ann"}, limit=1)
    assert asked == [100, 100, 1000]
    rest = saver.list_threads(filter={"user_id": "ann"}, cursor=page.cursor)
    assert [info.thread_id for info in page.threads + rest.threads][:2] == ["2000", "1500"]


@pytest.mark.parametrize("wanted", [{"filter": {"source": "loop"}}, {}])
def test_a_large_limit_is_many_requests(saver: MemorySaver, wanted: dict[str, Any]) -> None:
    page = saver.list_threads(limit=10_000, **wanted)
    assert (len(page.threads), page.cursor) == (COUNT, None)
    assert asked == [1000, 1000, 1000]
    first = saver.list_threads(limit=1_500, **wanted)
    rest = saver.list_threads(limit=1_500, cursor=first.cursor, **wanted)
    assert (len(first.threads), len(rest.threads), rest.cursor) == (1_500, 1_000, None)
    assert first.threads + rest.threads == page.threads


def test_a_backend_that_only_lists_threads() -> None:
    """A planner without `list_heads` has `list_threads` by prefix, and nothing pretends more."""

    class Lists(ThreadAdminMixin, SyncSaver):
        pass

    saver = Lists(MemoryPlanner(TTLPolicy(), lambda: 1.0), LockDriver(), SaverSettings())
    saver.put(on("one"), checkpoint({}), metadata(), {})
    assert [info.thread_id for info in saver.list_threads(prefix="o").threads] == ["one"]
    assert not hasattr(saver, "count_threads")
    unknown: Any = {"filter": {}}
    with pytest.raises(TypeError):
        saver.list_threads(**unknown)
