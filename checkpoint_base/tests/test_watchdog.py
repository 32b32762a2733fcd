"""The watchdog: which steps it ends, in which order, and what it costs those that end in time."""

from __future__ import annotations

import os
import sys
from collections import Counter
from threading import Event, Timer
from typing import Any

import pytest

from checkpoint_base.deadlines import watchdog
from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.deadlines.watchdog import Watch

LONG = 30.0


class Statement:
    """One that ends when it is cancelled or severed."""

    def __init__(self, *, can_be_cancelled: bool) -> None:
        self.ended = Event()
        self.calls: list[str] = []
        self._can_be_cancelled = can_be_cancelled

    def cancel(self, _: object = None) -> None:
        self.calls.append("cancel")
        if self._can_be_cancelled:
            self.ended.set()

    def sever(self, _: object = None) -> None:
        self.calls.append("sever")
        self.ended.set()

    def run(self, seconds: float) -> Watch:
        with Watch(Deadline(seconds, "a step"), self, Statement.cancel, Statement.sever) as watch:
            assert self.ended.wait(LONG)
        return watch


@pytest.mark.parametrize(("can_be_cancelled", "calls"), [(True, 1), (False, 2)])
def test_a_statement_is_cancelled_first_and_severed_next(
    can_be_cancelled: bool, calls: int
) -> None:
    statement = Statement(can_be_cancelled=can_be_cancelled)
    watch = statement.run(0.02)
    assert watch.deadline.expired
    assert statement.calls == ["cancel", "sever"][:calls]


def test_a_cancellation_that_fails_is_followed_by_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    statement = Statement(can_be_cancelled=False)

    def cancel(_: object) -> None:
        raise OSError("no second connection")

    with Watch(Deadline(0.02, "a step"), None, cancel, statement.sever):
        assert statement.ended.wait(LONG)
    assert "no second connection" in caplog.text


def test_a_step_that_goes_on_is_not_ended() -> None:
    slow = Statement(can_be_cancelled=True)
    deadline = Deadline(0.01, "a step")
    watch = Watch(deadline, None, slow.cancel, slow.sever)
    with watchdog._watchdog._wakes:  # the watchdog cannot look meanwhile
        watch.watch(deadline)
        while not deadline.is_over:
            pass
        deadline.end += LONG  # as the next statement's restart does
    assert Statement(can_be_cancelled=True).run(0.01).deadline.expired  # the watchdog has looked
    watch.__exit__()
    assert not deadline.expired
    assert slow.calls == []


class Dawdling(Watch):
    """One that the watchdog is about to end when its step ends."""

    __slots__ = ("begun", "goes_on")

    def __init__(self, deadline: Deadline, statement: Statement) -> None:
        super().__init__(deadline, statement, None, Statement.sever)
        self.begun, self.goes_on = Event(), Event()

    def expire(self, now: float) -> None:
        self.begun.set()
        assert self.goes_on.wait(LONG)
        super().expire(now)


def test_a_statement_that_ends_late_leaves_nothing_to_the_next_one() -> None:
    """What ends a statement has ended it, or will not, before its connection is used again."""
    statement = Statement(can_be_cancelled=False)
    watch = Dawdling(Deadline(0.01, "a step"), statement)
    with watch:
        assert watch.begun.wait(LONG)
        Timer(0.05, watch.goes_on.set).start()
    assert statement.calls == ["sever"]


def test_a_short_deadline_is_seen_beside_a_long_one() -> None:
    with Watch(Deadline(3600, "a step"), None, None, str) as watch:
        assert Statement(can_be_cancelled=True).run(0.02).deadline.expired
    assert not watch.deadline.expired


def test_the_thread_is_not_woken_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    own = watchdog._Watchdog()
    monkeypatch.setattr(watchdog, "_watchdog", own)
    notified: Counter[str] = Counter()
    notify = own._wakes.notify

    def counting(n: int = 1) -> None:
        notified["thread"] += 1
        notify(n)

    monkeypatch.setattr(own._wakes, "notify", counting)
    with Watch(Deadline(60, "a step"), None, None, str):
        while own._next == float("-inf"):
            pass
        before = notified["thread"]
        for _ in range(1000):
            with Watch(Deadline(61, "a step"), None, None, str):
                pass
    assert notified["thread"] - before <= 1
    assert own.watches == set()


def test_without_a_limit_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    own: Any = watchdog._Watchdog()
    monkeypatch.setattr(watchdog, "_watchdog", own)
    with Watch(Deadline(None, "a step"), None, None, str):
        assert own.watches == set()
    assert own._thread is None


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_has_a_watchdog_of_its_own() -> None:
    Statement(can_be_cancelled=True).run(0.01)
    child = os.fork()
    if child == 0:
        os._exit(0 if Statement(can_be_cancelled=True).run(0.01).deadline.expired else 1)
    assert os.waitpid(child, 0)[1] == 0
