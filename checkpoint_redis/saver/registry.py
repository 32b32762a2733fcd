"""The list of threads. It is kept in parts, each in a slot of its own, so that no script reaches a
thread and the list at once.

A thread is registered before it can exist; whoever removes one unregisters it afterwards. A process
that dies in between leaves an entry without a thread, which is dropped by whoever meets it, unless
it is so young that a put may be about to make the thread.
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
"""Seconds within which a put that has registered its thread has stored it, or failed."""
GARBAGE: Final = b"g"
"""Label of threads whose garbage a sweep is to collect."""

_LOOKED_AT: Final = 5_000
"""Threads that a script looks at in one part."""
_LABELLED_AT_ONCE: Final = 200


class RegistryEntry(NamedTuple):
    """A thread in the list; these compare in the order of the list, the last one first."""

    updated: float
    name: bytes


class Overdue(NamedTuple):
    """A thread whose expiry, as the list has it, is over."""

    name: bytes
    due: bytes
    part: int


def run_label(run_id: str | bytes) -> bytes:
    """Label of threads that have checkpoints of a run."""
    return b"r" + (run_id.encode() if isinstance(run_id, str) else run_id)


class Registry:
    """Scripts on the list, and plans that ask all its parts at once.

    Args:
        keys: where it is.
        clock: epoch seconds.
    """

    def __init__(self, keys: KeyNames, clock: Callable[[], float]) -> None:
        self._keys, self._clock = keys, clock

    def create(self) -> Plan[None]:
        """Make all parts, where they are not there."""
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
        """Note that a thread is written to; the reply is how many of its part are overdue.

        Args:
            thread_id: which.
            now: epoch seconds, those that the thread's own record has, too.
            due: its expiry, as far as it is known.
            head: the id of a checkpoint that is put.
            labels: what else it has.
        """
        args = [thread_id.encode(), moment(now), moment(due), head.encode(), *labels]
        return self._call("register", args)

    def unregister(self, name: bytes, updated: bytes | None = None) -> ScriptCall:
        """Drop a thread that was found gone.

        Args:
            name: which.
            updated: its last update, if that is known: nobody was making it anew.
        """
        now = self._clock()
        args = [name, moment(now - IN_THE_MAKING) if updated is None else updated, moment(now)]
        return self._call("unregister", args)

    def correct(self, thread: Overdue, due: bytes) -> ScriptCall:
        """Note the real expiry of a thread that seemed overdue."""
        return self._call("correct", [thread.name, thread.due, due])

    def remove_labels(self, name: bytes, labels: Iterable[bytes]) -> ScriptCall:
        """Note what a thread does not have any more."""
        return self._call("correct", [name, b"", b"", *labels])

    def _call(self, name: str, args: Sequence[bytes]) -> ScriptCall:
        return ScriptCall(script(name), self._keys.registry(args[0].decode()), args)

    # ------------------------------------------------------------------ all threads

    def page(
        self, query: ThreadQuery, position: RegistryEntry | None, count: int
    ) -> Plan[tuple[list[RegistryEntry], RegistryEntry | None]]:
        """Up to so many of the next threads by update, and where to go on (None: that was all)."""
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
        floor = max(stops)  # below it some part was not looked at
        taken = [entry for entry in entries if entry >= floor][:count]
        return taken, max(floor, taken[-1]) if len(taken) == count else floor

    def all_names(self) -> Plan[list[bytes]]:
        """All threads: one round trip for some thousands of each part."""
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
        """Up to so many threads of some parts, as b"h" id NUL thread, by the id of their newest
        checkpoint.

        Args:
            places: the parts, each with the last thread that was seen (empty: none).
            count: of each.
        """
        return (yield from self._ask("heads", {part: [at, count] for part, at in places.items()}))

    def overdue(self, parts: Iterable[int], now: float, count: int) -> Plan[list[Overdue]]:
        """Up to so many threads of each part that should be gone."""
        asked = {part: (moment(now), count) for part in parts}
        replies = yield from self._ask("overdue", asked)
        return [
            Overdue(name, due, part)
            for part, found in replies.items()
            for name, due in zip(found[::2], found[1::2], strict=True)
        ]

    def labelled(self, labels: Iterable[bytes]) -> Plan[dict[bytes, list[bytes]]]:
        """All threads that have one of some labels, each with those that it has."""
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
        """The number of a thread's part."""
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
    """What the script `list_threads` takes."""
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
