"""The plan that applies a retention policy to all threads."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.planner import ThreadQuery
from checkpoint_base.saver.records.kinds import Stats, ThreadPage
from checkpoint_base.saver.ttl.retention import (
    Place,
    Removal,
    Retention,
    RetentionCutoff,
    RetentionReport,
)
from checkpoint_base.saver.ttl.sweeper import UNREADABLE, log_unreadable

logger = logging.getLogger(__name__)

_PAGE: Final = 100
_LEASE: Final = 300.0
"""Seconds after which another process takes over from one that died while it applied a policy."""
_REST: Final = 0.9
"""The part of the interval between two sweeps in which no other process applies the policy."""

NOTHING: Final = Removal(0)


class RetentionPlans:
    """Plans that apply a retention policy, for planners that can apply it to one thread."""

    @abstractmethod
    def _now(self) -> float:
        """Epoch seconds, by the clock that threads' times are taken from."""

    @abstractmethod
    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        """A page of threads."""

    @abstractmethod
    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count records and bytes."""

    @abstractmethod
    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        """Take the lease of sweepers for `seconds` from now, by the database's clock. The owner of
        the lease may take it again. False: another one has it.
        """

    @abstractmethod
    def _retain(
        self, codec: Codec, thread_id: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Plan[Removal]:
        """Apply a policy to a thread, in steps. After each one all that is left can be read. A
        thread that was written since the policy was found to apply to it is examined again.
        """

    def retain(
        self, codec: Codec, policy: Retention, *, dry_run: bool = False
    ) -> Plan[RetentionReport]:
        """Apply a policy to all threads, most recently updated first. A thread is only locked if
        something is to be removed from it.
        """
        return (yield from self._retain_all(codec, policy, None, dry_run=dry_run))

    def retain_in_turn(
        self, codec: Codec, policy: Retention, owner: str, interval_minutes: float
    ) -> Plan[bool]:
        """Apply a policy to all threads, unless another process does so now, or has done so in the
        last interval. Returns whether it was applied.

        The lease only saves work: it would do no harm if two processes applied a policy at once.
        """
        if not (yield from self._lease(owner, _LEASE)):
            return False
        began = self._now()
        report = yield from self._retain_all(codec, policy, owner, dry_run=False)
        logger.info("%s", report)
        rest = _REST * 60 * interval_minutes - (self._now() - began)
        yield from self._lease(owner, max(rest, 0.0))
        return True

    def _retain_all(
        self, codec: Codec, policy: Retention, owner: str | None, *, dry_run: bool
    ) -> Plan[RetentionReport]:
        cutoff = policy.at(self._now())
        report = RetentionReport(dry_run=dry_run, bytes_after=None if dry_run else 0)
        query = ThreadQuery("", cutoff.updated_before, None, _PAGE, None)
        while True:
            if owner is not None:
                yield from self._lease(owner, _LEASE)
            page = yield from self.list_threads(query)
            for thread_id, *_ in page.threads:
                report = replace(report, threads=report.threads + 1)
                try:
                    report = yield from self._retain_counted(codec, thread_id, cutoff, report)
                except UNREADABLE as error:
                    log_unreadable(thread_id, error)
                    report = replace(report, unreadable=report.unreadable + 1)
            if page.cursor is None:
                return report
            query = replace(query, cursor=page.cursor)

    def _retain_counted(
        self, codec: Codec, thread_id: str, cutoff: RetentionCutoff, report: RetentionReport
    ) -> Plan[RetentionReport]:
        removal = yield from self._retain(codec, thread_id, cutoff, dry_run=True)
        if removal.is_empty:
            return report
        before, after = (yield from self.stats(thread_id))["bytes"], 0
        if not report.dry_run:
            removal = yield from self._retain(codec, thread_id, cutoff, dry_run=False)
            if removal.is_empty:  # it was written, or removed, since it was examined
                return report
            after = (yield from self.stats(thread_id))["bytes"]
        return report.plus(removal, before, after)


def affected(places: Iterable[Place], kept: set[Place]) -> list[Place]:
    """The kept checkpoints of the namespaces that lose any: only these can need others."""
    spaces = {ns for ns, checkpoint_id in places if (ns, checkpoint_id) not in kept}
    return [place for place in kept if place[0] in spaces]
