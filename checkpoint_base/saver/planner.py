"""The saver planner protocols that a backend implements: one plan per operation, without I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import address, before_id, text
from checkpoint_base.saver.records.kinds import (
    CheckpointRecord,
    Stats,
    ThreadInfo,
    ThreadPage,
    WriteRecord,
)
from checkpoint_base.saver.ttl.retention import Retention, RetentionReport

LIST_PAGE = 50
"""Maximum number of checkpoints that `list` reads at a time."""
_LAST: Final = datetime.max.replace(tzinfo=timezone.utc)
"""The latest representable time."""


@dataclass(frozen=True)
class Listing:
    """The arguments of `list`, and its progress.

    Attributes:
        thread_id: only this thread; None: all threads.
        ns: only this namespace; None: all namespaces.
        checkpoint_id: only this checkpoint; None: all.
        before: only checkpoint ids less than this.
        filter: metadata entries that must be equal.
        remaining: how many more checkpoints to return; None: all.
        position: the backend's position of the last returned checkpoint.
    """

    thread_id: str | None = None
    ns: str | None = None
    checkpoint_id: str | None = None
    before: str | None = None
    filter: Mapping[str, Any] | None = None
    remaining: int | None = None
    position: Any = None

    @classmethod
    def of(
        cls,
        config: RunnableConfig | None,
        filter: Mapping[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Listing:
        """Convert the arguments of `list`."""
        listing = cls(before=before_id(before), filter=filter, remaining=limit)
        if config is None:
            return listing
        at = address(config)
        return replace(listing, thread_id=at.thread_id, ns=at.ns, checkpoint_id=at.checkpoint_id)

    @property
    def page_size(self) -> int:
        """The number of checkpoints to read next."""
        return LIST_PAGE if self.remaining is None else min(self.remaining, LIST_PAGE)

    def after(self, given: int, position: Any) -> Listing:
        """The rest of the listing after `given` more checkpoints, the last one at `position`."""
        left = None if self.remaining is None else self.remaining - given
        return replace(self, remaining=left, position=position)


class Page(NamedTuple):
    """A page of checkpoints, and the rest of the listing (None: complete)."""

    tuples: list[CheckpointTuple]
    rest: Listing | None


class Planner(Protocol):
    """The operations that every backend implements."""

    def setup(self) -> Plan[None]: ...

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]: ...

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]: ...

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]: ...

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]: ...

    def delete_thread(self, thread_id: str) -> Plan[None]: ...


class PruningPlanner(Planner, Protocol):
    """Adds `delete_for_runs` and `prune`."""

    def delete_for_runs(self, run_ids: Sequence[str]) -> Plan[None]: ...

    def prune(self, codec: Codec, thread_ids: Sequence[str], strategy: str) -> Plan[None]: ...


class CopyingPlanner(Planner, Protocol):
    """Adds `copy_thread`."""

    def copy_thread(self, source: str, target: str) -> Plan[None]: ...


class DeltaPlanner(Planner, Protocol):
    """Adds the history of DeltaChannels."""

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]: ...


@dataclass(frozen=True)
class ThreadQuery:
    """The arguments of `list_threads`; times are in epoch seconds."""

    prefix: str
    updated_before: float | None
    updated_after: float | None
    limit: int
    cursor: str | None

    @classmethod
    def of(
        cls,
        prefix: str,
        updated_before: datetime | None,
        updated_after: datetime | None,
        limit: int,
        cursor: str | None,
    ) -> ThreadQuery:
        """Convert the arguments of `list_threads`.

        Raises:
            InvalidArgumentError: `prefix` or `limit` is invalid.
        """
        if limit < 0:
            raise InvalidArgumentError(f"limit: wanted 0 or more, got {limit}")
        return cls(
            text("prefix", prefix), _epoch(updated_before), _epoch(updated_after), limit, cursor
        )

    @property
    def has_conditions(self) -> bool:
        """Whether the prefix or the times select some threads of all."""
        return bool(self.prefix) or (self.updated_before, self.updated_after) != (None, None)

    @property
    def position(self) -> tuple[float, str] | None:
        """(updated at, thread id) of the last thread on the previous page, or None.

        Raises:
            InvalidArgumentError: the cursor is invalid.
        """
        if self.cursor is None:
            return None
        try:
            updated, thread_id = json.loads(self.cursor)
            return float(updated), text("cursor", thread_id)
        except (ValueError, TypeError) as error:
            raise InvalidArgumentError(
                f"cursor: wanted one that list_threads gave, got {self.cursor!r}"
            ) from error

    def page(self, found: Sequence[tuple[str, float, float, float | None]]) -> ThreadPage:
        """Build the page from up to `limit` + 1 threads: (id, created, updated, expires)."""
        shown = found[: self.limit]
        threads = [
            ThreadInfo(name, _moment(created), _moment(updated), _expiry(expires))
            for name, created, updated, expires in shown
        ]
        last = shown[-1] if len(found) > len(shown) > 0 else None
        return ThreadPage(threads, None if last is None else cursor_at(last[2], last[0]))


def cursor_at(updated: float, thread_id: str) -> str:
    """The cursor of the threads that are listed after this one."""
    return json.dumps([updated, thread_id])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _expiry(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    return _moment(seconds) if seconds < _LAST.timestamp() else _LAST


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


class ThreadPlanner(Planner, Protocol):
    """Adds `list_threads`, `sweep` and `stats`."""

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]: ...

    def sweep(self, codec: Codec) -> Plan[int]: ...

    def stats(self, thread_id: str | None) -> Plan[Stats]: ...


@dataclass(frozen=True)
class HeadQuery(ThreadQuery):
    """The arguments of `list_heads`.

    `terms` and `channel` let a backend omit the checkpoint of a thread that the caller will not
    choose, so that it need not be read.

    Attributes:
        terms: what the metadata of a chosen thread contains (`prefilter_terms`). Sealed metadata
            may hide them.
        channel: a channel that a chosen thread's checkpoint has a pending write to; None: any.
        interrupts: whether to read the values of the pending writes to INTERRUPT.
    """

    terms: Sequence[str] = ()
    channel: str | None = None
    interrupts: bool = False

    def heads(self, found: list[ThreadHead]) -> HeadPage:
        """Build the page from the next `limit` threads, or fewer if no others follow."""
        is_full = 0 < len(found) == self.limit
        return HeadPage(
            found, cursor_at(found[-1].updated, found[-1].thread_id) if is_full else None
        )


class ThreadHead(NamedTuple):
    """A thread with its newest checkpoint in the root namespace. Times are in epoch seconds."""

    thread_id: str
    created: float
    updated: float
    expires: float | None
    checkpoint: CheckpointRecord | None = None
    """None: the thread has no root checkpoint, or the query allows the backend to omit it; then the
    writes are omitted as well."""
    channels: Sequence[tuple[str, str]] = ()
    """(task id, channel) of each pending write of the checkpoint"""
    interrupts: Sequence[WriteRecord] = ()
    """the pending writes to INTERRUPT, at least if they were asked for"""


class HeadPage(NamedTuple):
    """Up to `limit` threads that a `HeadQuery` has looked at, and the cursor of the next ones
    (None: there are none).
    """

    heads: list[ThreadHead]
    cursor: str | None


class FindingPlanner(ThreadPlanner, Protocol):
    """Adds `list_heads`, from which `checkpoint_base.saver.threads` finds threads."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]: ...


class RetentionPlanner(Planner, Protocol):
    """Adds retention policies."""

    def retain(
        self, codec: Codec, policy: Retention, *, dry_run: bool = False
    ) -> Plan[RetentionReport]: ...

    def retain_in_turn(
        self, codec: Codec, policy: Retention, owner: str, interval_minutes: float
    ) -> Plan[bool]: ...


class FullPlanner(
    PruningPlanner, CopyingPlanner, DeltaPlanner, FindingPlanner, RetentionPlanner, Protocol
):
    """All operations."""
