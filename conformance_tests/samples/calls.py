"""A record of the running clause's last calls, which reports show for failures."""

from __future__ import annotations

import reprlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Final, TypeVar

from langgraph.checkpoint.base import CheckpointTuple

T = TypeVar("T")

KEPT: Final = 25
"""Number of calls kept; concurrent clauses make thousands."""


class _Short(reprlib.Repr):
    """Shortens arguments and results to one line each."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 4, 48, 60, 24
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = 6

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if set(x) >= {"channel_values", "channel_versions"}:
            return f"checkpoint {x.get('id')!r} {self.repr1(x['channel_values'], level - 1)}"
        if isinstance(x.get("configurable"), dict):
            return f"config {self.repr1(x['configurable'], level)}"
        return super().repr_dict(x, level)

    def repr_bytes(self, x: bytes, level: int) -> str:  # noqa: ARG002 (reprlib's signature)
        return repr(x) if len(x) <= self.maxstring else f"{x[: self.maxstring]!r}… {len(x)} bytes"

    def repr_CheckpointTuple(self, x: CheckpointTuple, level: int) -> str:  # noqa: N802
        pending = self.repr1(x.pending_writes, level - 1)
        return f"{self.repr1(x.checkpoint, level)}, writes {pending}"


short: Final = _Short().repr
"""`repr`, shortened to one line."""


class Calls:
    """Records calls. Facades make all their calls through it."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._count = 0
        self._running: dict[object, str] = {}

    def clear(self) -> None:
        """Forget all calls, when a new clause begins."""
        self._lines.clear()
        self._running.clear()
        self._count = 0

    def make(
        self, name: str, work: Callable[[], T], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> T:
        """Call `work`, and record its arguments and result or error."""
        called = f"{name}({_arguments(args, kwargs)})"
        call = object()
        self._running[call] = called
        try:
            answer = work()
        except BaseException as error:
            self._note(f"{called}\n    raised {type(error).__name__}: {short(str(error))}")
            raise
        finally:
            self._running.pop(call, None)
        self._note(called if answer is None else f"{called}\n    -> {short(answer)}")
        return answer

    def items(
        self,
        name: str,
        found: Iterator[T],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Generator[T, None, None]:
        """Iterate over `found`, and record how many items it yielded."""
        called, ended, given = f"{name}({_arguments(args, kwargs)})", "abandoned", 0
        try:
            for item in found:
                given += 1
                yield item
            ended = "the end"
        except Exception as error:
            ended = f"raised {type(error).__name__}: {short(str(error))}"
            raise
        finally:
            if isinstance(found, Generator):
                found.close()
            self._note(f"{called}\n    -> {given} items, then {ended}")

    def _note(self, line: str) -> None:
        self._count += 1
        self._lines.append(line)

    def told(self) -> str:
        """The last calls as text, oldest first."""
        left_out = self._count - len(self._lines)
        first = [f"… {left_out} calls before these"] if left_out else []
        running = [f"{called}\n    has not returned" for called in list(self._running.values())]
        return "\n".join([*first, *self._lines, *running])


def _arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    named = [f"{name}={short(value)}" for name, value in kwargs.items() if value is not None]
    return ", ".join([*map(short, args), *named])


CALLS: Final = Calls()
"""The calls of the clause that runs in this process."""
