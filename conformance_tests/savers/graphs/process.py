"""Runs steps of a clause in another process, on the same database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, TypeVar

from conformance_tests.harness import SaverHarness
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER, Flavour
from conformance_tests.samples.workers import run_and_kill
from conformance_tests.savers.graphs.driver import session
from conformance_tests.savers.graphs.nodes import wait_until

T = TypeVar("T")


class OtherProcess:
    """A worker process that opens the harness's database for each step.

    A step is a function `step(session, *args)` of an importable module.
    """

    def __init__(self, worker: ProcessPoolExecutor, harness: SaverHarness, flavour: Flavour):
        self.worker, self.harness, self.flavour = worker, harness, flavour

    def run(self, step: Callable[..., T], *args: Any) -> T:
        """Run a step in the worker; returns its result or raises its error."""
        place = type(self.harness), self.harness.location(), self.flavour
        job = partial(take_step, *place, step, *args)
        return self.worker.submit(job).result(GIVE_UP_AFTER)

    def run_and_kill(self, once: Callable[[], bool], step: Callable[..., Any], *args: Any) -> None:
        """Run a step in a new process, and kill it by SIGKILL when `once()` is true."""
        place = type(self.harness), self.harness.location(), self.flavour

        def wait(process: Any) -> None:
            wait_until(lambda: not process.is_alive() or once(), f"{step.__name__} to get that far")

        run_and_kill(take_step, (*place, step, *args), wait)


def take_step(
    kind: type[SaverHarness],
    location: str,
    flavour: Flavour,
    step: Callable[..., T],
    *args: Any,
) -> T:
    """In the other process: open a saver, and run the step."""
    with session(kind.reopen(location), flavour) as opened:
        return step(opened, *args)
