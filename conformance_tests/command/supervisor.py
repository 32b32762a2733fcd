"""Runs clauses in worker processes with limits of time and memory.

The supervisor kills a worker whose clause exceeds a limit, records the failure, and goes on with a
new worker, so that every run ends with a report.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from conformance_tests.command.loading import Probed
from conformance_tests.command.supervised import PROBE
from conformance_tests.command.worker import Event, Inbox, Worker, ended_by
from conformance_tests.contract.verdicts import FAILED, verdict_by
from conformance_tests.report.report import Case, Observation, Report

TICK: Final = 0.1
SLOW: Final = 5.0
"""Seconds after which a running clause is reported as slow."""
OPENS_WITHIN: Final = 60.0
"""Minimum timeout for making a harness or starting a worker, in seconds."""
STARTS: Final = 3
"""The run is aborted after so many failed starts of workers in a row."""


class Limits(NamedTuple):
    """Limits of one case of a clause."""

    seconds: float = 30.0
    megabytes: int = 4096


class Watched(Protocol):
    """Receives progress of a run."""

    def step(self, failed: int) -> None:
        """A clause has ended. `failed` is the number of failed clauses so far."""

    def slow(self, clause: str, seconds: float) -> None:
        """A clause has been running for `seconds`."""


class CannotRunError(Exception):
    """No clause can run; the message is the reason, in one line."""


class Supervisor:
    """Runs the clauses of reports in parallel workers, and adds the results to the reports."""

    def __init__(
        self,
        harnesses: Sequence[Probed],
        reports: Mapping[str, Report],
        folder: Path,
        *,
        limits: Limits,
        jobs: int,
        watched: Watched,
    ) -> None:
        self._harnesses = harnesses
        self._reports = list(reports.values())
        self._folder = folder
        self._limits = limits
        self._jobs = jobs
        self._watched = watched
        self._waiting = deque(clause for report in self._reports for clause in report.results)
        self._workers: list[Worker] = []
        self._inbox: Inbox = queue.Queue()
        self._started = 0
        self._failed_starts = 0

    def run(self) -> None:
        """Run all clauses.

        Raises:
            CannotRunError: Workers fail to start.
        """
        try:
            for _ in range(min(self._jobs, len(self._waiting))):
                self._start()
            while self._workers:
                self._listen()
                for worker in list(self._workers):
                    self._judge(worker)
        finally:
            for worker in self._workers:
                worker.kill()

    def _start(self) -> None:
        self._started += 1
        folder = self._folder / f"process-{self._started}"
        arguments = pytest_arguments(folder, self._harnesses)
        self._workers.append(Worker(arguments, self._inbox, folder.with_suffix(".log")))

    def _listen(self) -> None:
        """Handle events of workers for one tick."""
        until = time.monotonic() + TICK
        while self._workers and (left := until - time.monotonic()) > 0:
            try:
                worker, event = self._inbox.get(timeout=left)
            except queue.Empty:
                return
            if worker in self._workers:
                self._take(worker, event)

    def _take(self, worker: Worker, event: Event | None) -> None:
        if event is None:
            message = f"the process of the clause {ended_by(worker.kill())}\n{worker.last_words()}"
            self._fail(worker, message.rstrip())
            return
        match event.pop("event"):
            case "ready":
                self._failed_starts = 0
                self._next(worker)
            case "start":
                worker.begin(event["case"].partition("[")[2].rstrip("]"))
            case "expected":
                worker.expected = event["reason"]
            case "seen":
                self._add(Observation.of(event))
            case "done":
                self._step()
                self._next(worker)
            case "broken":
                self._discard(worker)
                raise CannotRunError(event["message"])

    def _next(self, worker: Worker) -> None:
        if self._waiting:
            worker.run(self._waiting.popleft())
        else:
            self._workers.remove(worker)
            worker.quit()

    def _judge(self, worker: Worker) -> None:
        """Kill a worker that exceeds a limit; handle one that has ended by itself."""
        seconds, limit = worker.seconds(), self._limits.seconds
        if worker.has_ended():
            worker.kill()  # kill its descendants: they may hold the pipe, whose end is awaited
        elif seconds > (limit if worker.clause else max(limit, OPENS_WITHIN)):
            place = worker.where()
            self._fail(
                worker,
                f"it did not end within {limit:g} s (--clause-timeout)\n{place['stack']}",
                place["calls"],
            )
        elif (taken := worker.taken() >> 20) > self._limits.megabytes:
            place = worker.where()
            self._fail(
                worker,
                f"it took {taken} MB of memory: more than the {self._limits.megabytes} MB that a "
                f"clause may take (--clause-memory)\n{place['stack']}",
                place["calls"],
            )
        elif worker.clause and seconds > SLOW and not worker.told_slow:
            worker.told_slow = True
            self._watched.slow(worker.clause, seconds)

    def _fail(self, worker: Worker, message: str, calls: str = "") -> None:
        """Record the failure of a worker's clause, and replace the worker."""
        self._discard(worker)
        if worker.clause:
            outcome = verdict_by(worker.expected) if worker.expected else FAILED
            case = Case(worker.case, outcome, worker.seconds(), message, calls)
            reason = worker.expected.partition(": ")[2]
            self._add(Observation(worker.clause, "", "", worker.seconds(), case, reason))
            self._step()
        else:
            self._failed_starts += 1
            if self._failed_starts == STARTS:
                raise CannotRunError(f"no clause can run: {message}")
        if self._waiting:
            self._start()

    def _discard(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.kill()

    def _step(self) -> None:
        self._watched.step(sum(len(each.with_outcome(FAILED)) for each in self._reports))

    def _add(self, seen: Observation) -> None:
        for report in self._reports:
            report.add(seen)


def probe(specs: Sequence[str], folder: Path, limits: Limits) -> list[Probed]:
    """Make each harness once in a worker process, since its code may hang or crash.

    Raises:
        CannotRunError: A harness cannot be loaded or made, or is not a harness.
    """
    inbox: Inbox = queue.Queue()
    worker = Worker([PROBE, *specs], inbox, folder / "probe.log")
    named, seconds = " ".join(specs), max(limits.seconds, OPENS_WITHIN)
    try:
        while worker.seconds() <= seconds:
            try:
                _, event = inbox.get(timeout=TICK)
            except queue.Empty:
                event = None if worker.has_ended() else {"event": "nothing"}
            match event:
                case None:
                    code = worker.kill()
                    raise CannotRunError(f"{named}: opening it, its process {ended_by(code)}")
                case {"event": "broken", "message": message}:
                    raise CannotRunError(message)
                case {"event": "probed", "harnesses": found}:
                    return [Probed(**each) for each in found]
        raise CannotRunError(f"{named}: opening it took more than {seconds:g} s (--clause-timeout)")
    finally:
        worker.kill()


def pytest_arguments(folder: Path, harnesses: Sequence[Probed]) -> list[str]:
    """Make pytest ignore configuration, conftest and cache of the working directory."""
    plugins = ("conformance_tests.plugin", "no:cacheprovider", "no:terminal", "no:faulthandler")
    return [
        *("--pyargs", "conformance_tests.test_contract", "--profile", "suite"),
        *("-c", os.devnull, "--rootdir", str(Path.cwd()), "--noconftest"),
        *("--basetemp", str(folder), "-o", "tmp_path_retention_policy=none"),
        *(part for name in plugins for part in ("-p", name)),
        *(part for each in harnesses for part in (f"--{each.kind}", each.spec)),
    ]
