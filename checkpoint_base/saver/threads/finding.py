"""Finding threads by the metadata and the pending writes of their newest root checkpoint.

No index is written for it (docs/adr/0020). A backend reads the heads of some threads at a time, the
last updated first, and this module chooses among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, get_args

from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.filters import matches
from checkpoint_base.saver.pagination import prefilter_terms
from checkpoint_base.saver.planner import (
    FindingPlanner,
    HeadQuery,
    ThreadHead,
    ThreadQuery,
    cursor_at,
)
from checkpoint_base.saver.records.kinds import OpenInterrupt, ThreadInfo, ThreadPage

ThreadStatus = Literal["idle", "interrupted", "error"]
"""What a thread's newest root checkpoint says: a task waits for a person's answer, or one has
failed, or neither.
"""

LOOKED_AT: Final = 1_000
"""Maximum number of threads that a backend looks at in one round trip."""
FIRST_LOOK: Final = 100
"""The same for the first one, unless a page has more threads."""
_CHANNELS: Final = {"interrupted": INTERRUPT, "error": ERROR}


class ThreadFilter(NamedTuple):
    """Conditions on threads' heads.

    Attributes:
        metadata: entries that the metadata must have, compared as `list(filter=)` does.
        status: the status that a thread must have; None: any.
    """

    metadata: Mapping[str, Any] | None
    status: ThreadStatus | None

    @classmethod
    def of(cls, metadata: Any, status: Any) -> ThreadFilter:
        """Validate the arguments of a call.

        Raises:
            InvalidArgumentError: the filter is no mapping, or the status is unknown.
        """
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidArgumentError(
                f"filter: wanted a mapping of metadata, got {type(metadata).__name__}"
            )
        if status is not None and status not in get_args(ThreadStatus):
            wanted = ", ".join(map(repr, get_args(ThreadStatus)))
            raise InvalidArgumentError(f"status: wanted {wanted} or None, got {status!r}")
        return cls(metadata, status)

    @property
    def is_empty(self) -> bool:
        """Whether every thread matches, so that no checkpoint need be read."""
        return not self.metadata and self.status is None

    def matches(self, codec: Codec, head: ThreadHead) -> bool:
        """Whether a thread matches."""
        if self.status is not None and status_of(head) != self.status:
            return False
        return not self.metadata or matches(metadata_of(codec, head), self.metadata)


def metadata_of(codec: Codec, head: ThreadHead) -> Mapping[str, Any]:
    """A thread's metadata: that of its newest root checkpoint; empty if it has none."""
    return {} if head.checkpoint is None else codec.metadata_of(head.checkpoint)


def status_of(head: ThreadHead) -> ThreadStatus:
    """A thread's status, from the channels that its tasks have written to."""
    if open_tasks(head):
        return "interrupted"
    return "error" if any(channel == ERROR for _, channel in head.channels) else "idle"


def open_tasks(head: ThreadHead) -> set[str]:
    """The tasks that wait for an answer: they have an INTERRUPT and no output yet."""
    asking = {task_id for task_id, channel in head.channels if channel == INTERRUPT}
    return asking - {task_id for task_id, channel in head.channels if channel not in WRITES_IDX_MAP}


# ---------------------------------------------------------------- plans


def find_heads(
    planner: FindingPlanner,
    codec: Codec,
    query: ThreadQuery,
    wanted: ThreadFilter,
    *,
    interrupts: bool = False,
) -> Plan[tuple[list[ThreadHead], str | None]]:
    """The next threads that match, at most `query.limit`, and the cursor of the following ones
    (None: the search is complete). One round trip looks at `LOOKED_AT` threads at most.
    """
    found: list[ThreadHead] = []
    rest = HeadQuery(
        query.prefix,
        query.updated_before,
        query.updated_after,
        min(max(query.limit, FIRST_LOOK), LOOKED_AT),
        query.cursor,
        prefilter_terms(wanted.metadata),
        _CHANNELS.get(wanted.status or ""),
        interrupts,
    )
    while query.limit > 0:
        heads, cursor = yield from planner.list_heads(rest)
        yield from offload(sum(map(_size, heads)))
        fitting = [head for head in heads if wanted.matches(codec, head)]
        taken = fitting[: query.limit - len(found)]
        found += taken
        if len(taken) < len(fitting):
            cursor = cursor_at(taken[-1].updated, taken[-1].thread_id)
        if cursor is None or len(found) == query.limit:
            return found, cursor
        rest = replace(rest, cursor=cursor, limit=LOOKED_AT)
    return found, None


def find_threads(
    planner: FindingPlanner, codec: Codec, query: ThreadQuery, wanted: ThreadFilter
) -> Plan[ThreadPage]:
    """A page of the threads that match. The last page may be empty."""
    if wanted.is_empty:
        return (yield from _all_threads(planner, query))
    heads, cursor = yield from find_heads(planner, codec, query, wanted)
    page = replace(query, limit=len(heads)).page([head[:4] for head in heads])
    return ThreadPage(page.threads, cursor)


def _all_threads(planner: FindingPlanner, query: ThreadQuery) -> Plan[ThreadPage]:
    """A page of all threads, of which one round trip reads `LOOKED_AT` at most."""
    threads: list[ThreadInfo] = []
    while True:
        count = min(query.limit - len(threads), LOOKED_AT)
        page = yield from planner.list_threads(replace(query, limit=count))
        threads += page.threads
        if page.cursor is None or len(threads) == query.limit:
            return page._replace(threads=threads)
        query = replace(query, cursor=page.cursor)


def count_threads(
    planner: FindingPlanner, codec: Codec, query: ThreadQuery, wanted: ThreadFilter
) -> Plan[int]:
    """The number of threads that match."""
    count = 0
    while True:
        page = yield from find_threads(planner, codec, query, wanted)
        count += len(page.threads)
        if page.cursor is None:
            return count
        query = replace(query, cursor=page.cursor)


def delete_threads(
    planner: FindingPlanner,
    codec: Codec,
    query: ThreadQuery,
    wanted: ThreadFilter,
    *,
    dry_run: bool,
) -> Plan[int]:
    """Delete the threads that match, each by itself. Returns their number.

    Raises:
        InvalidArgumentError: no condition is given, so that all threads would be deleted.
    """
    if wanted.is_empty and not query.has_conditions:
        raise InvalidArgumentError(
            "delete_threads: wanted a filter, a status, a prefix or a time, got none of them"
        )
    if dry_run:
        return (yield from count_threads(planner, codec, query, wanted))
    count = 0
    while True:
        page = yield from find_threads(planner, codec, query, wanted)
        for thread in page.threads:
            yield from planner.delete_thread(thread.thread_id)
        count += len(page.threads)
        if page.cursor is None:
            return count
        query = replace(query, cursor=page.cursor)


def find_interrupts(
    planner: FindingPlanner, codec: Codec, query: ThreadQuery, wanted: ThreadFilter
) -> Plan[tuple[list[OpenInterrupt], str | None]]:
    """The questions of the next threads that match, and the cursor of the following ones (None: the
    search is complete).
    """
    heads, cursor = yield from find_heads(planner, codec, query, wanted, interrupts=True)
    return [question for head in heads for question in _questions(codec, head)], cursor


def _questions(codec: Codec, head: ThreadHead) -> Iterator[OpenInterrupt]:
    """A thread's open questions. The root namespace also has those of subgraphs."""
    waiting = open_tasks(head)
    asked = [write for write in head.interrupts if write.task_id in waiting]
    checkpoint_id = "" if head.checkpoint is None else head.checkpoint.checkpoint_id
    for _, _, questions in codec.pending_writes(asked, head.thread_id):
        for question in questions if isinstance(questions, (list, tuple)) else (questions,):
            # langgraph, which has the class Interrupt, is no dependency of this package
            name, value = getattr(question, "id", ""), getattr(question, "value", question)
            yield OpenInterrupt(head.thread_id, checkpoint_id, name, value)


def _size(head: ThreadHead) -> int:
    """Approximate bytes to decode."""
    size = sum(len(write.value[1]) for write in head.interrupts)
    if head.checkpoint is not None:
        sealed = head.checkpoint.sealed
        size += len(head.checkpoint.metadata) + (len(sealed[1]) if sealed else 0)
    return size
