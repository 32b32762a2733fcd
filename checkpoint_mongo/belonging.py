"""What belongs to checkpoints that were found, and whether it is all that belonged to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_base.reading import Snapshot
from checkpoint_mongo.documents import refs_of, values_in, writes_in
from checkpoint_mongo.keys import THREAD, ref_of_thread
from checkpoint_mongo.pipelines import is_held
from checkpoint_mongo.requests import Document, named


class Read(NamedTuple):
    """Checkpoints and what belongs to them.

    Attributes:
        checkpoints: as they were found.
        parts: their values and writes, as they were afterwards.
        threads: their threads, as they were at last, by their ids.
    """

    checkpoints: Sequence[Document]
    parts: Sequence[Document]
    threads: Mapping[str, Document]

    def is_whole(self, known: Mapping[str, int]) -> bool:
        """Whether nothing was removed from these threads since the checkpoints were found: each
        has the epoch that it had when the checkpoint was stored, or at another time before
        (`known`), and every removal changes that.
        """
        for one in self.checkpoints:
            name = one["thread_id"]
            thread = self.threads.get(name)
            if thread is None or thread.get("dead"):
                continue  # all of it is absent
            if is_held(thread) or thread["epoch"] not in (one.get("epoch"), known.get(name)):
                return False
        return True

    @property
    def held(self) -> list[str]:
        """The threads from which somebody removes something, without a transaction."""
        return [name for name, one in self.threads.items() if is_held(one)]

    @property
    def epochs(self) -> dict[str, int]:
        """The epochs of the threads."""
        return {name: one["epoch"] for name, one in self.threads.items()}

    def note(self, snapshot: Snapshot, seen: set[tuple[str, str]]) -> None:
        """Put all of it into a snapshot, tasks that were `seen` only once."""
        note_parts(snapshot, [*self.parts, *self.checkpoints], seen)


def read_belonging(checkpoints: Sequence[Document]) -> Plan[Read]:
    """Read what belongs to checkpoints, and then their threads: one command."""
    if not checkpoints:
        return Read((), (), {})
    refs = {ref: None for one in checkpoints for ref in refs_of(one)}
    for one in checkpoints:
        for value in one.get("values", ()):
            refs.pop(value["ref"], None)
    names = list(dict.fromkeys(one["thread_id"] for one in checkpoints))
    of_threads = [ref_of_thread(name) for name in names]
    found = yield from named([*refs, *of_threads], names)
    parts = [one for one in found if one["key"] != THREAD]
    threads = [one for one in found if one["key"] == THREAD]
    if found[len(parts) :] != threads:  # by another index: a server may choose as it likes
        threads = yield from named(of_threads, names)
    return Read(checkpoints, parts, {one["thread_id"]: one for one in threads})


def note_parts(snapshot: Snapshot, parts: Iterable[Document], seen: set[tuple[str, str]]) -> None:
    """Put values and writes into a snapshot, tasks that were `seen` only once."""
    carriers: list[Document] = []
    for one in parts:
        if "of" not in one:
            carriers.append(one)
        elif (one["thread_id"], one["key"]) not in seen:
            seen.add((one["thread_id"], one["key"]))
            for write in writes_in(one):
                snapshot.add_write(write)
    for one in sorted(carriers, key=lambda one: str(one["key"])):  # of a version, the last put
        for value in values_in(one):
            snapshot.add_value(value)
