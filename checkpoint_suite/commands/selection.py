"""Selections of threads: the options by which commands find threads, and the search for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Annotated, Any, Final, NamedTuple

import typer

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_base.saver.records.kinds import ThreadInfo
from checkpoint_base.saver.threads.finding import ThreadStatus

_PAGE: Final = 200
Prefix = Annotated[str, typer.Option(help="only thread ids that begin with this")]
Before = Annotated[
    datetime | None, typer.Option("--updated-before", help="only threads last written before (UTC)")
]
After = Annotated[
    datetime | None, typer.Option("--updated-after", help="only threads last written after (UTC)")
]
Filter = Annotated[
    str | None,
    typer.Option(help='only threads with this metadata; JSON, {"user_id": "ann"}'),
]
Status = Annotated[ThreadStatus | None, typer.Option(help="only threads of this status")]


class Selection(NamedTuple):
    """The options by which a command selects threads."""

    prefix: str = ""
    updated_before: datetime | None = None
    updated_after: datetime | None = None
    filter: str | None = None
    status: ThreadStatus | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the saver's methods.

        Raises:
            InvalidArgumentError: the filter is not a JSON object.
        """
        return {
            "prefix": self.prefix,
            "updated_before": _utc(self.updated_before),
            "updated_after": _utc(self.updated_after),
            "filter": None if self.filter is None else json_object("filter", self.filter),
            "status": self.status,
        }


def found_threads(
    saver: FullSyncSaver, selected: Selection, limit: int | None = None
) -> Iterator[ThreadInfo]:
    """List threads, most recently updated first; requests one page at a time."""
    cursor, arguments = None, selected.arguments
    while limit is None or limit > 0:
        count = _PAGE if limit is None else min(limit, _PAGE)
        page = saver.list_threads(**arguments, limit=count, cursor=cursor)
        yield from page.threads
        limit = None if limit is None else limit - len(page.threads)
        cursor = page.cursor
        if cursor is None:
            return


def chosen_threads(
    saver: FullSyncSaver, threads: list[str] | None, selected: Selection
) -> list[str]:
    """The ids of the threads that a command changes: those given, or those selected.

    Raises:
        InvalidArgumentError: both are given, or neither.
    """
    conditions = any(selected.arguments.values())  # none of them in an empty filter
    if threads:
        if conditions:
            raise InvalidArgumentError("wanted ids of threads or a filter, got both")
        return threads
    if not conditions:
        raise InvalidArgumentError(
            "which threads? give their ids, or --filter, --status, --prefix, --updated-before, "
            "--updated-after"
        )
    return [one.thread_id for one in found_threads(saver, selected)]


def json_object(name: str, text: str) -> dict[str, Any]:
    """Parse an argument that is a JSON object.

    Raises:
        InvalidArgumentError: the text is not a JSON object.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidArgumentError(f"{name}: wanted a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgumentError(f"{name}: wanted a JSON object, got {type(found).__name__}")
    return found


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=moment.tzinfo or timezone.utc)
