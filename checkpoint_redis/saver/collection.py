"""Garbage collection: removes checkpoints, and then values and segments without references.

A collection first scans all records of a thread and then removes some of them, both in steps of
bounded size: checkpoints with their writes, then values, then segments, so that what is left can be
read at any moment. Meanwhile other processes may write to the thread. They note what they write in
a journal, and no step removes that, or what it refers to. If the journal is full, the collection
begins again. See docs/adr/0006.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, TypeVar

from checkpoint_base.dedup.writer import dead_segments
from checkpoint_base.errors import BackendUnavailableError, PermissionDeniedError
from checkpoint_base.plan import Plan
from checkpoint_base.saver.ttl.sweeper import UNREADABLE
from checkpoint_redis.connection.requests import Arg, calls, moment
from checkpoint_redis.saver.packing import record_names
from checkpoint_redis.saver.writing import RedisWriting

T = TypeVar("T")

SCANNED_AT_ONCE: Final = 50
"""Records that the first scan reads."""
_MOST_SCANNED, _LEAST_SCANNED = 1_000, 10
_LARGE_STEP, _SMALL_STEP = 4 << 20, 1 << 20  # bytes
_REMOVED_AT_ONCE: Final = 500
_SIZES: Final = 5

RemovalStep = tuple[Sequence[Arg], Sequence[Arg], Sequence[Arg]]
"""Names of checkpoints and writes, names of values, start offsets of segments."""
_NOTHING: Final[RemovalStep] = ((), (), ())
Judge = Callable[[bytes, bytes], bool]
"""Whether to remove a checkpoint, given namespace NUL id, and its run's label (empty: none)."""


class Marks:
    """The records that the scan of a thread found, and which of them to remove.

    Args:
        is_doomed: which checkpoints to remove.
        newest: namespace -> newest checkpoint id. Writes to an older checkpoint that does not
            exist are removed, too.
    """

    def __init__(self, is_doomed: Judge, newest: dict[bytes, bytes]) -> None:
        self._is_doomed, self._newest = is_doomed, newest
        self._places, self._doomed = set[bytes](), set[bytes]()
        self._needed, self._values = set[bytes](), dict[bytes, bytes]()
        self._writes, self._segments = dict[bytes, bytes](), dict[int, int]()
        self._runs: tuple[set[bytes], set[bytes]] = (set(), set())  # of kept, of removed ones

    def add(self, told: Sequence[bytes]) -> None:
        """Add the records of one scan. HSCAN may return a record twice."""
        for name, detail, run in zip(told[::3], told[1::3], told[2::3], strict=True):
            kind, place = name[:1], name[1:]
            if kind == b"v":
                self._values[place] = detail
            elif kind == b"w":
                self._writes[place] = detail
            elif kind == b"s":
                self._segments[int(place)] = int(detail)
            else:
                goes = self._is_doomed(place, run)
                self._runs[goes].add(run)
                self._places.add(place)
                if goes:
                    self._doomed.add(place)
                else:
                    ns = place.partition(b"\0")[0]
                    self._needed.update(record_names(ns, detail))

    def removals(self) -> Iterator[RemovalStep]:
        """What each step removes: first checkpoints and writes, then values, then segments."""
        writes = [name for name in self._writes if self._goes(name)]
        records = [b"n" + place for place in self._doomed] + [b"w" + name for name in writes]
        for some in _parts(records):
            yield some, (), ()
        values = [b"v" + name for name in self._values if name not in self._needed]
        for some in _parts(values):
            yield (), some, ()
        layouts = [layout for name, layout in self._values.items() if name in self._needed]
        gone = set(writes)
        layouts += [layout for name, layout in self._writes.items() if name not in gone]
        for starts in _parts(dead_segments(sorted(self._segments.items()), filter(None, layouts))):
            yield (), (), starts

    @property
    def runs_gone(self) -> list[bytes]:
        """Labels of runs that have no checkpoint left."""
        stays, goes = self._runs
        return [*filter(None, goes - stays)]

    def _goes(self, write: bytes) -> bool:
        ns, checkpoint_id, _ = write.split(b"\0", 2)
        place = ns + b"\0" + checkpoint_id
        is_early = place not in self._places and checkpoint_id < self._newest.get(ns, b"")
        return is_early or place in self._doomed


def _parts(some: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(some)
    while part := [*islice(rest, _REMOVED_AT_ONCE)]:
        yield part


class Collection(RedisWriting):
    """Sub-plans that scan all records of threads: collections and statistics."""

    def _collect(
        self,
        thread_id: str,
        is_doomed: Judge,
        newest: dict[bytes, bytes] | None = None,
        *,
        state: bytes = b"",
        expired: float | None = None,
    ) -> Plan[bytes]:
        """Remove checkpoints, and all records without references.

        Args:
            thread_id: the thread.
            is_doomed: which checkpoints to remove.
            newest: as for `Marks`.
            state: the state that the thread must have; empty: any.
            expired: epoch seconds at which it must have expired; its expiry is removed.

        Returns:
            b"done"; b"absent"; or b"other" if the thread had another state, or the journal was
            full: the caller reads the thread again.
        """
        epoch, name = self._logs.new_epoch(), thread_id.encode()
        marks = Marks(is_doomed, newest or {})
        begin: list[Arg] = [str(epoch), state, moment(expired)]
        try:
            outcome, *journal = yield from self._mark(thread_id, marks, begin)
        except UNREADABLE:
            yield from self._step(thread_id, str(epoch), epoch, "cancel")
            raise
        if not journal:
            return bytes(outcome)
        removals = [*marks.removals()] or [_NOTHING]
        for number, removal in enumerate(removals, 1):
            step = "last" if number == len(removals) else "more"
            outcome, *updated = yield from self._step(
                thread_id, journal[0], epoch + number, step, removal=removal, expired=expired
            )
            if outcome == b"empty":
                yield from calls([self._registry.unregister(name, *updated)])
                return b"done"
            if outcome == b"other":
                return b"other"
        if marks.runs_gone:
            yield from calls([self._registry.remove_labels(name, marks.runs_gone)])
        return b"done"

    def _mark(self, thread_id: str, marks: Marks, begin: Sequence[Arg]) -> Plan[Any]:
        """Begin a collection and scan all records. Returns the reply of `begin_collection`."""
        begun = None
        cursor, count = b"0", SCANNED_AT_ONCE
        while begun is None or cursor != b"0":
            asked = [self._call("scan", thread_id, [cursor, count, 1])]
            if begun is None:
                asked.insert(0, self._call("begin_collection", thread_id, begin))
            *first, reply = yield from calls(asked, in_order=True)
            begun = begun or first[0]
            if reply is None or len(begun) == 1:
                break  # not begun, or deleted since: then `collect` replies b"other"
            cursor, sizes, told = reply
            marks.add(told)
            count = _next_count(count, sizes[-1])
        return begun

    def _step(
        self,
        thread_id: str,
        journal: Arg,
        epoch: int,
        step: str,
        *,
        removal: RemovalStep = _NOTHING,
        expired: float | None = None,
    ) -> Plan[Any]:
        args: list[Arg] = [journal, str(epoch), step, moment(expired)]
        for names in removal:
            args += len(names), *names
        return (yield from self._ask("collect", thread_id, args))

    def _collect_runs(self, thread_id: str, labels: Sequence[bytes]) -> Plan[None]:
        """Remove the checkpoints of runs with these labels, and all records without references."""
        done = b"other"
        while done == b"other":
            done = yield from self._collect(thread_id, lambda _, run: run in labels)

    def _count(self, names: Iterable[bytes]) -> Plan[list[int]]:
        """Count these threads, and their checkpoints, values, segments, writes and bytes."""
        totals, gone = [0] * (1 + _SIZES), []
        places = dict.fromkeys(names, (b"0", SCANNED_AT_ONCE))
        while places:
            asked = [self._call("scan", name.decode(), [*at, 0]) for name, at in places.items()]
            replies = dict(zip(places, (yield from calls(asked)), strict=True))
            for name, reply in replies.items():
                cursor, count = places.pop(name)
                if not reply:
                    gone += [name] if reply is None else []
                    continue
                totals[0] += cursor == b"0"
                for number, size in enumerate(reply[1], 1):
                    totals[number] += size
                if reply[0] != b"0":
                    places[name] = reply[0], _next_count(count, reply[1][-1])
        yield from self._unregister(gone)
        return totals

    def _unregister(self, gone: Iterable[bytes]) -> Plan[None]:
        """Unregister threads that do not exist, unless the server refuses writes."""
        with suppress(PermissionDeniedError, BackendUnavailableError):
            yield from calls([self._registry.unregister(name) for name in gone])


def _next_count(count: int, size: int) -> int:
    """How many records the next scan reads, after one of `count` records with `size` bytes."""
    if size > _LARGE_STEP:
        return max(_LEAST_SCANNED, count // 4)
    return min(_MOST_SCANNED, 2 * count) if size < _SMALL_STEP else count
