"""What may happen between the steps of a retention policy, on the backends that share its plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from checkpoint_base.dedup.writer import SWEPT_GARBAGE
from checkpoint_base.plan import Atomic, run
from checkpoint_base.saver.ttl import retaining
from checkpoint_base.saver.ttl.retention import Retention, RetentionReport
from checkpoint_base.sql import removal
from checkpoint_base.tests.load import arguments, steps_of
from conformance_tests.samples.build import large, on, values

LARGE = 9_000


class DiedError(Exception):
    """The process that applies the policy ends here."""


def interleaved(
    saver: Any, policy: Retention, before_write: Callable[[int], object]
) -> RetentionReport:
    """Apply a policy, and call `before_write` with the number of each transaction that writes."""
    count = 0

    def perform(request: Any) -> Any:
        nonlocal count
        if isinstance(request, Atomic) and request.write:
            count += 1
            before_write(count)
        return saver._driver.perform(request)

    report: RetentionReport = run(saver._planner.retain(saver._codec, policy), perform)
    return report


class BetweenSteps:
    """A backend gives it a harness."""

    def test_an_idle_thread_that_is_written_meanwhile_stays(self, harness: Any) -> None:
        with harness.open() as saver, harness.open() as other:
            saver.put(*arguments("t", 1))
            harness.advance(7_200)

            def write(_: int) -> None:
                other.put(*arguments("t", 2))

            report = interleaved(saver, Retention(idle="1h"), write)
            assert steps_of(saver, "t") == [2, 1]
            assert (report.threads_removed, report.checkpoints_removed) == (0, 0)

    def test_a_fork_from_an_old_checkpoint_keeps_its_history(
        self, harness: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is put between two steps: the next one needs less than the first one found."""
        monkeypatch.setattr(removal, "_REMOVED_AT_ONCE", 2)
        counters: Any = {"counters_since_delta_snapshot": {"log": [1, 1]}}
        with harness.open() as saver, harness.open() as other:

            def put(step: int, parent: int | None) -> None:
                config, body, metadata, versions = arguments("t", step)
                config = on("t", "", None if parent is None else f"{parent:08}")
                body["channel_versions"]["log"] = f"{step:032}.0"
                other.put(config, body, {**metadata, **counters}, {**versions, "log": "x"})
                other.put_writes(on("t", "", f"{step:08}"), [("log", step)], "task")

            put(0, None)
            for step in range(1, 9):
                other.put(*arguments("t", step))
            for step in range(9, 12):
                put(step, 0 if step == 9 else step - 1)

            def fork(number: int) -> None:
                if number == 2:
                    put(12, 7)

            interleaved(saver, Retention(keep_last=1), fork)
            assert 12 in steps_of(saver, "t")
            assert 7 in steps_of(saver, "t")

    def test_steps_are_bounded(self, harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Everything that is left can be read before each step."""
        monkeypatch.setattr(removal, "_REMOVED_AT_ONCE", 2)
        with harness.open() as saver, harness.open() as other:
            for step in range(9):
                saver.put(*arguments("t", step, log=large(step, LARGE)))
            left: list[int] = []

            def look(_: int) -> None:
                found = list(other.list(on("t")))
                for one in found:
                    step = values(one)["step"]
                    assert values(one)["log"] == large(step, LARGE)
                left.append(len(found))

            interleaved(saver, Retention(keep_last=2), look)
            assert left[:5] == [9, 7, 5, 3, 2]
            assert len(left) > 7  # values and segments go in steps, too
            rows = dict(harness.rows())
            saver.prune(["t"])
            assert harness.rows()["values"] == rows["values"] - 1

    @pytest.mark.parametrize("at", [3, 4])
    def test_values_that_are_taken_over_meanwhile_stay(
        self, harness: Any, monkeypatch: pytest.MonkeyPatch, at: int
    ) -> None:
        """Checkpoints with values that no other one has any more are put while these are collected,
        in two steps and then another one for the rest of the segments.
        """
        monkeypatch.setattr(removal, "_REMOVED_AT_ONCE", 2)
        with harness.open() as saver, harness.open() as other:
            heads = [saver.put(*arguments("t", n, log=large(n, LARGE))) for n in range(6)]
            versions = [
                saver.get_tuple(head).checkpoint["channel_versions"]["log"] for head in heads[:4]
            ]
            forks: list[Any] = []

            def fork(number: int) -> None:
                if number != at:
                    return
                for n, one in enumerate(versions):
                    config, body, metadata, _ = arguments("t", 10 + n, log=large(n, LARGE))
                    body["channel_versions"] = {"log": one}
                    body["channel_values"] = {"log": large(n, LARGE)}
                    forks.append(other.put(config, body, metadata, {}))

            interleaved(saver, Retention(keep_last=2), fork)
            assert len(forks) == 4
        with harness.open() as third:
            for n, head in enumerate(forks):
                assert values(third.get_tuple(head)) == {"log": large(n, LARGE)}

    def test_a_sweep_collects_what_a_process_that_died_left(
        self, harness: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(removal, "_REMOVED_AT_ONCE", 2)
        rows: list[dict[str, int]] = []
        for dies_at in (99, 2, 4, 5, 6):
            with harness.open() as saver:
                for step in range(6):
                    saver.put(*arguments("t", step, log=large(step, LARGE)))

                def die(number: int, at: int = dies_at) -> None:
                    if number == at:
                        raise DiedError

                assert SWEPT_GARBAGE > 6 * LARGE  # so only the steps of the policy have marked it
                with suppress(DiedError):
                    interleaved(saver, Retention(keep_last=2), die)
                saver.prune(Retention(keep_last=2))
                saver.sweep_ttl()
                assert steps_of(saver, "t") == [5, 4]
                rows.append(dict(harness.rows()))
                saver.delete_thread("t")
        assert rows == rows[:1] * 5

    def test_a_process_that_dies_loses_its_lease(
        self, harness: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with harness.open() as saver, harness.open() as other:
            for step in range(3):
                saver.put(*arguments("t", step))

            def in_turn(of: Any, owner: str, perform: Callable[[Any], Any]) -> object:
                plan = of._planner.retain_in_turn(of._codec, Retention(keep_last=1), owner, 60)
                return run(plan, perform)

            requests: list[Any] = []

            def dies(request: Any) -> Any:
                requests.append(request)
                if len(requests) == 4:
                    raise DiedError
                return saver._driver.perform(request)

            for lease, is_taken_over in ((60.0, False), (0.01, True)):
                monkeypatch.setattr(retaining, "_LEASE", lease)
                requests.clear()
                with pytest.raises(DiedError):
                    in_turn(saver, "the first", dies)
                applied = in_turn(other, "the second", other._driver.perform)
                until = time.monotonic() + 60
                while is_taken_over and not applied and time.monotonic() < until:
                    applied = in_turn(other, "the second", other._driver.perform)
                assert applied is is_taken_over
            assert steps_of(other, "t") == [2]
