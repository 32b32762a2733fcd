"""The registry: the list of threads, in 16 parts. On a cluster each part is in another slot than
the threads, so no script can change a thread and its entry at once.

A writer registers a thread before it creates it; a deletion unregisters it afterwards. A process
that dies in between leaves an entry without a thread. Any process that finds such an entry removes
it, unless it is so new that a put may still be creating the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_base.saver.planner import ThreadQuery
from checkpoint_redis.connection.requests import ScriptCall, calls, moment
from checkpoint_redis.connection.scripts import script
from checkpoint_redis.saver.keys import KeyNames

IN_THE_MAKING: Final = 300.0
"""Seconds after which a put that registered its thread has either stored it or failed."""
GARBAGE: Final = b"g"
"""Label of threads whose garbage the sweeper collects."""

_LOOKED_AT: Final = 5_000
"""Threads that one script examines in one part."""
_LABELLED_AT_ONCE: Final = 200


class RegistryEntry(NamedTuple):
    """A thread in the registry. The list of threads is in descending order of these tuples."""

    updated: float
    name: bytes


class Overdue(NamedTuple):
    """A thread that has expired according to the registry, whose expiry may be out of date."""

    name: bytes
    due: bytes
    part: int


def run_label(run_id: str | bytes) -> bytes:
    """The label of threads that have checkpoints of a run."""
    return b"r" + (run_id.encode() if isinstance(run_id, str) else run_id)


class Registry:
    """Script calls on one thread's entry, and plans that read all parts at once.

    Args:
        keys: the names of the parts' keys.
        clock: returns epoch seconds.
    """

    def __init__(self, keys: KeyNames, clock: Callable[[], float]) -> None:
        self._keys, self._clock = keys, clock

    def create(self) -> Plan[None]:
        """Create the parts that do not exist."""
        yield from self._ask_all("create_registry")

    # ------------------------------------------------------------------ one thread

    def register(
        self,
        thread_id: str,
        now: float,
        due: float | None,
        head: str = "",
        labels: Iterable[bytes] = (),
    ) -> ScriptCall:
        """Note a write to a thread. The reply: how many threads of its part have expired.

        Args:
            thread_id: the thread.
            now: epoch seconds, the same as in the thread's own record.
            due: its expiry in epoch seconds, as far as the caller knows it.
            head: the id of a checkpoint that is put; empty: none.
            labels: labels to add.
        """
        args = [thread_id.encode(), moment(now), moment(due), head.encode(), *labels]
        return self._call("register", args)

    def unregister(self, name: bytes, updated: bytes | None = None) -> ScriptCall:
        """Remove the entry of a thread that does not exist.

        Args:
            name: the thread.
            updated: the thread's last update, if this process deleted it: an entry that is newer
                stays. None: an entry of the last `IN_THE_MAKING` seconds stays. In both cases an
                entry that has expired is removed.
        """
        now = self._clock()
        args = [name, moment(now - IN_THE_MAKING) if updated is None else updated, moment(now)]
        return self._call("unregister", args)

    def correct(self, thread: Overdue, due: bytes) -> ScriptCall:
        """Correct the expiry in the entry of a thread that has not expired."""
        return self._call("correct", [thread.name, thread.due, due])

    def remove_labels(self, name: bytes, labels: Iterable[bytes]) -> ScriptCall:
        """Remove labels from a thread's entry."""
        return self._call("correct", [name, b"", b"", *labels])

    def _call(self, name: str, args: Sequence[bytes]) -> ScriptCall:
        return ScriptCall(script(name), self._keys.registry(args[0].decode()), args)

    # ------------------------------------------------------------------ all threads

    def page(
        self, query: ThreadQuery, position: RegistryEntry | None, count: int
    ) -> Plan[tuple[list[RegistryEntry], RegistryEntry | None]]:
        """Up to `count` threads, the last updated first, and the next position (None: the end)."""
        replies = yield from self._ask_all("list_threads", _bounds(query, position, count))
        entries: list[RegistryEntry] = []
        stops: list[RegistryEntry] = []
        for found, stop in replies:
            entries += [
                RegistryEntry(float(found[n + 1]), found[n]) for n in range(0, len(found), 2)
            ]
            stops += [RegistryEntry(float(stop[1]), stop[0])] if stop else []
        entries.sort(reverse=True)
        if not stops:
            taken = entries[:count]
            return taken, taken[-1] if len(taken) < len(entries) else None
        floor = max(stops)  # some part was not examined below it
        taken = [entry for entry in entries if entry >= floor][:count]
        return taken, max(floor, taken[-1]) if len(taken) == count else floor

    def all_names(self) -> Plan[list[bytes]]:
        """All threads: one round trip for 5,000 of each part."""
        names: list[bytes] = []
        everything = ThreadQuery("", None, None, 0, None)
        places: dict[int, RegistryEntry | None] = dict.fromkeys(range(len(self._keys.parts)))
        while places:
            replies = yield from self._ask(
                "list_threads",
                {part: _bounds(everything, at, _LOOKED_AT) for part, at in places.items()},
            )
            places = {}
            for part, (found, stop) in replies.items():
                names += found[::2]
                if stop:
                    places[part] = RegistryEntry(float(stop[1]), stop[0])
        return names

    def heads(self, places: Mapping[int, bytes], count: int) -> Plan[dict[int, list[bytes]]]:
        """Up to `count` threads of each part, as b"h" id NUL thread, by the id of their newest
        checkpoint, newest first.

        Args:
            places: the parts, each with the last member of its previous page (empty: none).
            count: threads of each part.
        """
        return (yield from self._ask("heads", {part: [at, count] for part, at in places.items()}))

    def overdue(self, parts: Iterable[int], now: float, count: int) -> Plan[list[Overdue]]:
        """Up to `count` threads of each part that have expired according to the registry."""
        asked = {part: (moment(now), count) for part in parts}
        replies = yield from self._ask("overdue", asked)
        return [
            Overdue(name, due, part)
            for part, found in replies.items()
            for name, due in zip(found[::2], found[1::2], strict=True)
        ]

    def labelled(self, labels: Iterable[bytes]) -> Plan[dict[bytes, list[bytes]]]:
        """All threads that have any of these labels, each with those that it has."""
        threads: dict[bytes, list[bytes]] = {}
        places = {(n, label): b"[" for label in labels for n in range(len(self._keys.parts))}
        while places:
            asked = [
                ScriptCall(
                    script("labelled"), self._keys.parts[part], [_LABELLED_AT_ONCE, label, at]
                )
                for (part, label), at in places.items()
            ]
            replies = dict(zip(places, (yield from calls(asked)), strict=True))
            places = {}
            for (part, label), names in replies.items():
                for name in names:
                    threads.setdefault(name, []).append(label)
                if len(names) == _LABELLED_AT_ONCE:
                    places[part, label] = b"(" + names[-1]
        return threads

    def part_of(self, thread_id: str) -> int:
        """The number of the part that has a thread."""
        return self._keys.parts.index(self._keys.registry(thread_id))

    def _ask_all(self, name: str, args: Sequence[Any] = ()) -> Plan[list[Any]]:
        replies = yield from self._ask(name, dict.fromkeys(range(len(self._keys.parts)), args))
        return list(replies.values())

    def _ask(self, name: str, args: Mapping[int, Sequence[Any]]) -> Plan[dict[int, Any]]:
        asked = [
            ScriptCall(script(name), self._keys.parts[part], each) for part, each in args.items()
        ]
        return dict(zip(args, (yield from calls(asked)), strict=True))


def _bounds(query: ThreadQuery, position: RegistryEntry | None, count: int) -> list[Any]:
    """The arguments of the script `list_threads`."""
    high, after, before = "+inf", query.updated_after, query.updated_before
    if position is not None and before is not None and position.updated >= before:
        position = None
    if position is not None:
        high = repr(position.updated)
    elif before is not None:
        high = f"({before!r}"
    low = "-inf" if after is None else f"({after!r}"
    place = (0, 0, b"") if position is None else (1, repr(position.updated), position.name)
    return [*place, low, high, query.prefix.encode(), count, _LOOKED_AT]
