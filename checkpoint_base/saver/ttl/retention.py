"""Retention policy: which checkpoints of a thread stay, and which threads go; and its report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.filters import matches

Place = tuple[str, str]
"""(namespace, checkpoint id)"""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_LONGEST: Final = timedelta(days=100 * 366)
_GREGORIAN: Final = 0x01B21DD213814000
"""100-nanosecond intervals from the calendar reform of 1582, where UUIDs count from, to 1970."""


def duration(name: str, value: Any) -> timedelta:
    """Validate `value` as a duration: a timedelta, or a text such as "30d", "12h" or "1.5w".

    Raises:
        InvalidArgumentError: it is neither, or is not more than 0 and at most 100 years.
    """
    found = value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        seconds = float(match[1]) * _UNITS[match[2]]
        found = timedelta(seconds=min(seconds, 2 * _LONGEST.total_seconds()))
    if not isinstance(found, timedelta):
        raise InvalidArgumentError(
            f"{name}: wanted a timedelta, or a number with one of the units s, m, h, d, w such as "
            f"'30d', got {value!r:.80}"
        )
    if not timedelta(0) < found <= _LONGEST:
        raise InvalidArgumentError(
            f"{name}: wanted more than 0 and at most 100 years, got {value!r:.80}"
        )
    return found


def created_at(checkpoint_id: str) -> float | None:
    """The epoch seconds in a checkpoint id as LangGraph makes them, a UUID of version 6; None for
    any other id.
    """
    try:
        found = UUID(checkpoint_id)
    except ValueError:
        return None
    if found.version != 6:
        return None
    ticks = (found.int >> 80) << 12 | (found.int >> 64) & 0xFFF
    return (ticks - _GREGORIAN) / 1e7


def newest_of(places: Iterable[Place]) -> dict[str, str]:
    """The newest checkpoint id of each namespace."""
    heads: dict[str, str] = {}
    for ns, checkpoint_id in places:
        heads[ns] = max(heads.get(ns, ""), checkpoint_id)
    return heads


class ThreadOutline(NamedTuple):
    """The properties of a thread by which a retention policy decides."""

    places: Sequence[Place]
    """all of its checkpoints"""
    updated_at: float
    """epoch seconds of its last write"""
    awaits_answer: bool
    """whether an interrupt is among the writes of its newest root checkpoint"""
    metadata: Mapping[str, Any] | None
    """of its newest root checkpoint; None: it has none, or the policy needs none"""


@dataclass(frozen=True)
class Retention:
    """A policy that limits the history of threads, and deletes idle ones.

    Each limit applies by itself. The newest checkpoint of each namespace always stays, and so do
    the ancestors that a kept checkpoint needs to be rebuilt. The namespace of a call of a subgraph
    goes with the root checkpoint that has made the call.

    Attributes:
        keep_last: how many of the newest checkpoints of each namespace stay; None: all.
        max_age: checkpoints older than this go; a `timedelta`, or a text such as "30d" (units s,
            m, h, d, w). Their age is in their ids, which LangGraph makes from the time; a
            checkpoint with another id has no age, and stays.
        idle: a thread whose last write is longer ago is deleted whole. If it waits for the answer
            to an interrupt, the newest checkpoints of its namespaces stay.
        namespaces: `"all"`, or `"root"`: `keep_last` and `max_age` spare those of subgraphs.
        where: only threads whose newest root checkpoint has equal metadata entries, as in
            `list(filter=…)`.

    Raises:
        InvalidArgumentError: an argument is invalid, or there is no limit.
    """

    keep_last: int | None = None
    max_age: timedelta | str | None = None
    idle: timedelta | str | None = None
    namespaces: Literal["all", "root"] = "all"
    where: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Validate the arguments, and convert durations to `timedelta`."""
        if self.keep_last is None and self.max_age is None and self.idle is None:
            raise InvalidArgumentError("retention: wanted keep_last, max_age or idle, got none")
        if self.keep_last is not None and (type(self.keep_last) is not int or self.keep_last < 1):
            raise InvalidArgumentError(f"keep_last: wanted 1 or more, got {self.keep_last!r:.80}")
        for name in ("max_age", "idle"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, duration(name, value))
        if self.namespaces not in ("all", "root"):
            raise InvalidArgumentError(
                f"namespaces: wanted 'all' or 'root', got {self.namespaces!r:.80}"
            )
        if self.where is not None and not isinstance(self.where, Mapping):
            raise InvalidArgumentError(f"where: wanted a mapping, got {self.where!r:.80}")

    @classmethod
    def of(cls, policy: Any) -> Retention:
        """Check the argument of `prune` and of `retention=`.

        Raises:
            InvalidArgumentError: it is not a Retention.
        """
        if not isinstance(policy, cls):
            raise InvalidArgumentError(f"retention: wanted a Retention, got {policy!r:.80}")
        return policy

    def at(self, now: float) -> RetentionCutoff:
        """The policy as of `now`, in epoch seconds."""
        return RetentionCutoff(self, _before(now, self.max_age), _before(now, self.idle))


def _before(now: float, age: Any) -> float | None:
    return None if age is None else now - float(age.total_seconds())


@dataclass(frozen=True)
class RetentionCutoff:
    """A retention policy whose ages are times, in epoch seconds."""

    policy: Retention
    created_before: float | None
    idle_before: float | None

    @property
    def updated_before(self) -> float | None:
        """Only threads last written before this can be affected; None: all can."""
        has_limit = self.policy.keep_last is not None or self.created_before is not None
        return None if has_limit else self.idle_before

    @property
    def needs_metadata(self) -> bool:
        """Whether the metadata of a thread decides."""
        return bool(self.policy.where)

    def removes_thread(self, thread: ThreadOutline) -> bool:
        """Whether the thread is deleted whole."""
        return self._applies(thread) and self._is_idle(thread) and not thread.awaits_answer

    def kept(self, thread: ThreadOutline) -> set[Place]:
        """The checkpoints that stay, without the ancestors that they need."""
        if not self._applies(thread):
            return {*thread.places}
        heads = newest_of(thread.places)
        if self._is_idle(thread):
            return self._without_calls({*heads.items()}, heads)
        kept = {*heads.items()}
        namespaces: dict[str, list[str]] = {}
        for ns, checkpoint_id in thread.places:
            namespaces.setdefault(ns, []).append(checkpoint_id)
        for ns, ids in namespaces.items():
            is_spared = ns != "" and self.policy.namespaces == "root"
            newest = ids if is_spared else sorted(ids, reverse=True)[: self.policy.keep_last]
            kept.update((ns, name) for name in newest if is_spared or not self._is_old(name))
        return kept if self.policy.namespaces == "root" else self._without_calls(kept, heads)

    @staticmethod
    def _without_calls(kept: set[Place], heads: Mapping[str, str]) -> set[Place]:
        """Leave out the namespaces of calls that only removed root checkpoints have made. LangGraph
        gives each call of a subgraph without memory a namespace with the task's id behind a colon.
        Its checkpoints are newer than the root checkpoint that has made the call.
        """
        roots = [created_at(name) for ns, name in kept if ns == ""]
        times = [time for time in roots if time is not None]
        if len(times) < len(roots) or not times:
            return kept
        oldest = min(times)
        ended = {
            ns
            for ns, name in heads.items()
            if ":" in ns and (time := created_at(name)) is not None and time < oldest
        }
        return {(ns, name) for ns, name in kept if ns not in ended}

    def _applies(self, thread: ThreadOutline) -> bool:
        if not self.policy.where:
            return True
        return thread.metadata is not None and matches(thread.metadata, self.policy.where)

    def _is_idle(self, thread: ThreadOutline) -> bool:
        return self.idle_before is not None and thread.updated_at < self.idle_before

    def _is_old(self, checkpoint_id: str) -> bool:
        if self.created_before is None:
            return False
        created = created_at(checkpoint_id)
        return created is not None and created < self.created_before


class Removal(NamedTuple):
    """What a policy removes from a thread, or would remove."""

    checkpoints: int
    is_whole: bool = False
    """whether the thread is deleted"""
    is_unfinished: bool = False
    """whether an earlier removal was cut short, and left garbage"""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do in the thread."""
        return not (self.checkpoints or self.is_whole or self.is_unfinished)


@dataclass(frozen=True)
class RetentionReport:
    """The result of applying a retention policy.

    Attributes:
        threads: threads that were examined. A policy of `idle` alone examines only idle threads.
        threads_removed: threads that were deleted whole.
        threads_pruned: threads that stay, without some of their checkpoints.
        checkpoints_removed: checkpoints that were removed, with those of deleted threads.
        bytes_before: bytes of the deleted and pruned threads, as `stats(thread_id)` counts them.
        bytes_after: their bytes afterwards; None in a dry run.
        unreadable: threads that were left as they are, because they are damaged or encrypted with
            another key; each is logged.
        dry_run: whether nothing was removed, but only counted.
    """

    threads: int = 0
    threads_removed: int = 0
    threads_pruned: int = 0
    checkpoints_removed: int = 0
    bytes_before: int = 0
    bytes_after: int | None = 0
    unreadable: int = 0
    dry_run: bool = False

    def plus(self, removal: Removal, before: int, after: int) -> RetentionReport:
        """The report after one more thread was changed."""
        return replace(
            self,
            threads_removed=self.threads_removed + removal.is_whole,
            threads_pruned=self.threads_pruned + (not removal.is_whole),
            checkpoints_removed=self.checkpoints_removed + removal.checkpoints,
            bytes_before=self.bytes_before + before,
            bytes_after=None if self.bytes_after is None else self.bytes_after + after,
        )
