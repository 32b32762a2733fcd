"""The worker process that runs clauses. `supervisor.py` starts and kills it.

It reads commands from stdin and writes events to stdout, both as lines of JSON. For the clauses,
stdin is redirected from /dev/null, and stdout to a log file.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

PROBE: Final = "probe"
FRAMES: Final = 6
"""Number of stack frames shown for each thread of a clause that does not end."""
_OF_PYTEST: Final = (f"{os.sep}_pytest{os.sep}", f"{os.sep}pluggy{os.sep}", __file__)


class Line:
    """The connection to the supervisor. When it closes, this process kills its process group."""

    def __init__(self) -> None:
        self._commands = os.fdopen(os.dup(0), encoding="utf-8")
        self._events = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        self.asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        os.dup2(2, 1)
        faulthandler.enable(os.dup(2))
        threading.Thread(target=self._listen, name="conformance-supervised", daemon=True).start()

    def tell(self, event: str, **told: Any) -> None:
        """Send an event to the supervisor."""
        with self._lock:
            self._events.write(json.dumps({"event": event, **told}) + "\n")
            self._events.flush()

    def _listen(self) -> None:
        for line in self._commands:
            command = json.loads(line)
            if command == "where":
                self.tell("where", calls=_calls(), stack=_stacks())
            else:
                self.asked.put(command)
        if hasattr(os, "killpg"):
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os._exit(1)


class Supervised:
    """The pytest plugin that runs clauses as the supervisor requests them."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._line.tell("broken", message=report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from conformance_tests.command.run import clause_of_item

        cases: dict[str, list[pytest.Item]] = {}
        for item in session.items:
            if clause := clause_of_item(item):
                cases.setdefault(clause.id, []).append(item)
        self._line.tell("ready", clauses=list(cases))
        while (clause_id := self._line.asked.get()) is not None:
            items = cases.get(clause_id, [])
            for item, following in zip(items, [*items[1:], None], strict=True):
                self._line.tell("start", clause=clause_id, case=item.nodeid)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._line.tell("done", clause=clause_id)
        return True

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Report an expected failure before the case runs, as it may kill this process."""
        mark = item.get_closest_marker("xfail")
        if call.when == "setup" and mark is not None:
            self._line.tell("expected", reason=str(mark.kwargs.get("reason", "")))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        from conformance_tests.report.report import observe

        if (seen := observe(report)) is not None:
            self._line.tell("seen", **seen.plain())


def _calls() -> str:
    calls = sys.modules.get("conformance_tests.samples.calls")
    return "" if calls is None else str(calls.CALLS.told())


def _stacks() -> str:
    """The stacks of all other threads, without pytest's frames."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    told = []
    for ident, frame in sys._current_frames().items():
        if ident == threading.get_ident():
            continue
        stack = [f for f in traceback.extract_stack(frame) if not _is_pytest(f.filename)]
        lines = "".join(traceback.format_list(stack[-FRAMES:]))
        told.append(f"in {names.get(ident, 'a thread')}:\n{lines}")
    return "\n".join(told)


def _is_pytest(filename: str) -> bool:
    return any(part in filename for part in _OF_PYTEST)


def probe(line: Line, specs: Sequence[str]) -> None:
    """Make each harness once, and send its kind to the supervisor."""
    from conformance_tests.command.loading import Probed, look_at

    found: list[Probed] = []
    for spec in specs:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                found.append(look_at(spec, Path(folder)))
            except pytest.UsageError as error:
                line.tell("broken", message=str(error))
                return
    line.tell("probed", harnesses=[each._asdict() for each in found])


def main(arguments: Sequence[str]) -> int:
    line = Line()
    if arguments[:1] == [PROBE]:
        probe(line, arguments[1:])
        return 0
    return pytest.main(list(arguments), plugins=[Supervised(line)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
