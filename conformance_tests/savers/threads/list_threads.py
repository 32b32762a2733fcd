"""Clauses about list_threads, which lists threads in pages without reading checkpoints."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import Chain, new_id, new_thread, on
from conformance_tests.samples.corpus import HOSTILE
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import SaverClauses


def names(page: Any) -> list[str]:
    """The thread ids of a page."""
    return [info.thread_id for info in page.threads]


def flat(pages: list[list[str]]) -> list[str]:
    """The thread ids of all pages."""
    return list(itertools.chain.from_iterable(pages))


def all_pages(saver: Facade, limit: int, **options: Any) -> list[list[str]]:
    """All pages, until the cursor is None."""
    pages: list[list[str]] = []
    cursor = None
    while True:
        page = saver.list_threads(limit=limit, cursor=cursor, **options)
        pages.append(names(page))
        cursor = page.cursor
        if cursor is None:
            return pages
        assert len(pages) < 1000, "the pages do not end"


def touch(saver: Facade, *threads: str) -> None:
    """Put a checkpoint on each thread."""
    for thread in threads:
        Chain(saver, thread).put({"a": 1})


@clauses_of(Capability.THREADS)
class ThreadsClauses(SaverClauses):
    """Clauses of `list_threads`."""

    def test_threads_no_threads(self, saver: Facade) -> None:
        """For an empty database, the page is empty and has no cursor."""
        page = saver.list_threads()
        assert (names(page), page.cursor) == ([], None)

    def test_threads_newest_update_first(self, saver: Facade, harness: SaverHarness) -> None:
        """Threads are listed by their last write, newest first; reads do not count."""
        for thread in ("one", "two", "three"):
            touch(saver, thread)
            harness.advance(10)
        assert names(saver.list_threads()) == ["three", "two", "one"]
        saver.get_tuple(on("one"))
        list(saver.list(on("one")))
        assert names(saver.list_threads()) == ["three", "two", "one"]
        saver.put_writes(on("two", "", new_id()), [("a", 1)], "task")
        harness.advance(10)
        touch(saver, "one")
        assert names(saver.list_threads()) == ["one", "two", "three"]

    def test_threads_times(self, saver: Facade, harness: SaverHarness) -> None:
        """A thread has the times of its first and last write, as datetimes with a time zone."""
        chain = Chain(saver)
        chain.put({"a": 1})
        (first,) = saver.list_threads().threads
        harness.advance(90)
        chain.put({"a": 2})
        (info,) = saver.list_threads().threads
        assert isinstance(info.created_at, datetime)
        assert info.created_at.utcoffset() == timedelta(0)
        assert info.created_at == first.created_at == first.updated_at
        assert info.updated_at - first.updated_at == timedelta(seconds=90)
        assert info.expires_at is None

    def test_threads_expiry(self, reopened: Any, harness: SaverHarness) -> None:
        """A thread has the time at which it expires if it is not used."""
        saver = reopened(ttl={"default_ttl": 0.4})
        touch(saver, "one")
        (info,) = saver.list_threads().threads
        assert info.expires_at - info.updated_at == timedelta(seconds=24)
        harness.advance(25)
        assert names(saver.list_threads()) == []

    def test_threads_updated_before_and_after(self, saver: Facade, harness: SaverHarness) -> None:
        """Threads can be selected by the time of their last write, for clean-up jobs."""
        for n in range(5):
            touch(saver, f"thread {n}")
            harness.advance(10)
        third = saver.list_threads().threads[2].updated_at
        early, late = third - timedelta(seconds=5), third + timedelta(seconds=5)
        newest_first = [f"thread {n}" for n in range(4, -1, -1)]
        for bounds, expected in (
            ({"updated_before": early}, newest_first[3:]),
            ({"updated_after": late}, newest_first[:2]),
            ({"updated_after": early, "updated_before": late}, ["thread 2"]),
            ({"updated_after": late, "updated_before": early}, []),
        ):
            assert names(saver.list_threads(**bounds)) == expected

    @pytest.mark.parametrize("limit", [1, 2, 7, 100])
    def test_threads_pages_lose_and_repeat_nothing(
        self, saver: Facade, harness: SaverHarness, limit: int
    ) -> None:
        """Pages neither lose nor repeat a thread, also if many were updated at the same time."""
        expected = [f"thread {n}" for n in range(23)]
        for n, thread in enumerate(expected):
            touch(saver, thread)
            if n % 6 == 0:
                harness.advance(1)
        pages = all_pages(saver, limit)
        assert sorted(flat(pages)) == sorted(expected)
        assert all(len(page) == limit for page in pages[:-1])
        assert flat(pages) == names(saver.list_threads(limit=1000))

    def test_threads_pages_while_threads_are_used(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Threads written to during paging move to the front; all others are listed exactly
        once."""
        for n in range(20):
            touch(saver, f"thread {n:02}")
            harness.advance(1)
        first = saver.list_threads(limit=5)
        touch(saver, "thread 00", "new")
        rest = all_pages_after(saver, first, 5)
        assert names(first) + rest == [f"thread {n:02}" for n in range(19, 0, -1)]

    def test_threads_prefix(self, saver: Facade) -> None:
        """A prefix selects threads, such as those of a tenant. It is case-sensitive, not a
        pattern."""
        threads = ["user-1", "user-10", "user-2", "User-1", "user", "%", "x%y", "xay", "x_y", "xyz"]
        touch(saver, *threads)
        for prefix in ("", "user", "user-1", "u", "U", "x%", "x_", "%", "_", "*", "nobody", "xay"):
            got = saver.list_threads(prefix=prefix)
            assert sorted(names(got)) == sorted(t for t in threads if t.startswith(prefix)), prefix

    def test_threads_every_string_is_a_legal_prefix(self, saver: Facade) -> None:
        """Hostile strings are legal prefixes, and a thread id is a prefix of itself."""
        touch(saver, *HOSTILE)
        for prefix in HOSTILE:
            expected = sorted(thread for thread in HOSTILE if thread.startswith(prefix))
            assert sorted(names(saver.list_threads(prefix=prefix, limit=1000))) == expected
        assert sorted(flat(all_pages(saver, 10))) == sorted(HOSTILE)

    def test_threads_prefix_with_pages_and_bounds(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Prefix and bounds of times apply on all pages."""
        for n in range(30):
            touch(saver, f"{'ab'[n % 2]} {n:02}")
            harness.advance(1)
        bound = saver.list_threads(prefix="a", limit=1).threads[0].updated_at
        pages = all_pages(saver, 4, prefix="a", updated_before=bound)
        assert flat(pages) == [f"a {n:02}" for n in range(26, -1, -2)]

    def test_threads_default_limit(self, saver: Facade) -> None:
        """Without a limit, a page has 100 threads, and a cursor for the rest."""
        touch(saver, *[f"thread {n}" for n in range(103)])
        page = saver.list_threads()
        assert len(names(page)) == 100
        assert len(names(saver.list_threads(cursor=page.cursor))) == 3

    @pytest.mark.parametrize("cursor", ["", "x", "e30=", "null", "[1]", "é", "' OR 1=1"])
    def test_threads_invalid_cursor(self, saver: Facade, cursor: str) -> None:
        """An invalid cursor raises an error: returning the first page would cause an endless
        loop."""
        touch(saver, "one")
        with pytest.raises(ValueError, match="cursor"):
            saver.list_threads(cursor=cursor)

    def test_threads_invalid_limit(self, saver: Facade) -> None:
        """A negative limit is rejected; Python's slicing would drop the last threads of the
        page."""
        touch(saver, "one", "two", "three")
        with pytest.raises(ValueError, match="limit"):
            saver.list_threads(limit=-1)
        assert names(saver.list_threads(limit=0)) == []

    def test_threads_namespaces_runs_and_writes_are_one_thread(self, saver: Facade) -> None:
        """A thread is listed once, with any number of namespaces, runs and writes; a deleted one is
        not listed."""
        thread = new_thread()
        for ns in ("", "sub:1", "sub:2"):
            chain = Chain(saver, thread, ns)
            chain.put({"a": 1})
            chain.write(("a", 2))
        touch(saver, "gone", "pruned")
        saver.delete_thread("gone")
        saver.prune(["pruned"], strategy="delete")
        assert names(saver.list_threads()) == [thread]

    def test_threads_copies_are_threads(self, saver: Facade, harness: SaverHarness) -> None:
        """A copy is listed as a new thread, with the time of the copy."""
        touch(saver, "source")
        harness.advance(60)
        saver.copy_thread("source", "target")
        target, source = saver.list_threads().threads
        assert (target.thread_id, source.thread_id) == ("target", "source")
        assert target.created_at - source.created_at == timedelta(seconds=60)


def all_pages_after(saver: Facade, page: Any, limit: int) -> list[str]:
    """The thread ids of all pages after this one."""
    rest: list[str] = []
    while page.cursor is not None:
        page = saver.list_threads(limit=limit, cursor=page.cursor)
        rest += names(page)
    return rest
