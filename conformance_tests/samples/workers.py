"""Child processes for clauses, which inherit no state and start in milliseconds."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing.context import BaseContext
from typing import Any

from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER

_IMPORTED = (
    "conformance_tests.savers.graphs.driver",
    "conformance_tests.stores.faults.processes",
    "conformance_tests.caches.graphs",
)


@cache
def processes() -> BaseContext:
    """The multiprocessing context.

    Where available, it is forkserver: children are forked from a server process that has imported
    LangGraph, which takes a second. They inherit no connection, lock or cache.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


def run_and_kill(
    work: Callable[..., Any], args: Sequence[Any], wait: Callable[[Any], None]
) -> None:
    """Run `work` in a child process, and kill it by SIGKILL when `wait(process)` returns."""
    process: Any = processes().Process(target=work, args=tuple(args))  # type: ignore[attr-defined]
    process.start()
    try:
        wait(process)
    finally:
        process.kill()
        process.join(GIVE_UP_AFTER)
        exit_code = process.exitcode
        process.close()
    if exit_code != -signal.SIGKILL:
        raise AssertionError(f"the process ended before it was killed: exit code {exit_code}")
