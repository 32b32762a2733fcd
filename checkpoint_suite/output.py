"""Output of commands: tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import typer
from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.table import Table
from rich.text import Text

_SHORT: Final = 60


def console() -> Console:
    """The console for results (stdout); 80 columns wide if stdout is not a terminal."""
    return Console(soft_wrap=False)


def errors() -> Console:
    """The console for errors (stderr)."""
    return Console(stderr=True)


def print_json(data: Any) -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or the line `empty` if there are no rows."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    if table.row_count:
        console().print(table)
    else:
        console().print(empty, markup=False)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return printable(str(value))


def printable(text: str) -> str:
    """Escape control characters, which a terminal would interpret."""
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )


def iso(moment: datetime | None) -> str | None:
    """Format a time as ISO 8601, for JSON output."""
    return None if moment is None else moment.isoformat()


def plain(value: Any) -> Any:
    """Convert a value to JSON types; other types become text. No method of a value is called but
    the `repr` of objects that the plain serializer made.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, BaseMessage):
        return _message(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": len(value)}
    return repr(value)


def _message(message: BaseMessage) -> dict[str, Any]:
    found: dict[str, Any] = {"type": message.type, "id": message.id}
    found["content"] = plain(message.content)
    if calls := getattr(message, "tool_calls", None):
        found["tool_calls"] = plain(calls)
    return found


def brief(value: Any, width: int = _SHORT) -> str:
    """A value as one line, truncated to `width` characters."""
    shown = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    line = printable(" ".join(shown.split()))
    return line if len(line) <= width else f"{line[: width - 1]}…"


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, BaseMessage) for entry in value)
    )


def spoken(message: BaseMessage) -> str:
    """A message and its tool calls as one line of a conversation."""
    said = message.content if isinstance(message.content, str) else brief(message.content)
    calls = [
        f"{call['name']}({brief(call['args'])})" for call in getattr(message, "tool_calls", ())
    ]
    return printable(f"{message.type}: {' '.join(filter(None, [said, *calls]))}")
