"""Commands that only read: threads, stats, interrupts, show, history, diff."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.config import config_of
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_suite.commands.selection import (
    After,
    Before,
    Filter,
    Prefix,
    Selection,
    Status,
    found_threads,
)
from checkpoint_suite.database import AsJson, Url, saver_at
from checkpoint_suite.output import (
    brief,
    console,
    is_conversation,
    iso,
    plain,
    print_json,
    print_rows,
    printable,
    spoken,
)

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Thread = Annotated[str, typer.Argument(help="a thread's id", show_default=False)]
Namespace = Annotated[str, typer.Option("--ns", help="of a subgraph")]


def config_at(thread_id: str, ns: str = "", checkpoint_id: str | None = None) -> RunnableConfig:
    """The config of a checkpoint, or of the newest one of a namespace."""
    return config_of(thread_id, ns, checkpoint_id or "")


def checkpoint_at(
    saver: FullSyncSaver, thread_id: str, ns: str = "", checkpoint_id: str | None = None
) -> CheckpointTuple:
    """Read a checkpoint; by default the newest.

    Raises:
        InvalidArgumentError: it does not exist.
    """
    found = saver.get_tuple(config_at(thread_id, ns, checkpoint_id))
    if found is None:
        which = "no checkpoint" if checkpoint_id is None else f"no checkpoint {checkpoint_id!r}"
        raise InvalidArgumentError(f"there is {which} of the thread {thread_id!r}")
    return found


# ---------------------------------------------------------------------- threads, stats


def threads(
    url: Url,
    filter: Filter = None,
    status: Status = None,
    prefix: Prefix = "",
    updated_before: Before = None,
    updated_after: After = None,
    limit: Annotated[int, typer.Option(min=0, help="how many at most")] = 50,
    as_json: AsJson = False,
) -> None:
    """List threads, last updated first."""
    selected = Selection(prefix, updated_before, updated_after, filter, status)
    with saver_at(url) as saver:
        found = list(found_threads(saver, selected, limit))
    if as_json:
        moments = ("created_at", "updated_at", "expires_at")
        print_json(
            [
                {"thread_id": one.thread_id, **{at: iso(getattr(one, at)) for at in moments}}
                for one in found
            ]
        )
        return
    rows = [(one.thread_id, one.updated_at, one.created_at, one.expires_at) for one in found]
    print_rows(("thread", "updated (UTC)", "created", "expires"), rows, "no threads")


def stats(
    url: Url,
    thread: Annotated[str | None, typer.Argument(help="a thread's id; else all")] = None,
    as_json: AsJson = False,
) -> None:
    """Count threads, checkpoints and bytes."""
    with saver_at(url) as saver:
        found = dict(saver.stats(thread))
    if as_json:
        print_json(found)
    else:
        print_rows(("", ""), found.items(), "nothing")


def interrupts(
    url: Url,
    filter: Filter = None,
    prefix: Prefix = "",
    updated_before: Before = None,
    updated_after: After = None,
    limit: Annotated[int, typer.Option(min=0, help="how many at most")] = 1000,
    as_json: AsJson = False,
) -> None:
    """List open interrupts, which wait for a person's answer; last updated threads first."""
    selected = Selection(prefix, updated_before, updated_after, filter).arguments
    del selected["status"]
    with saver_at(url) as saver:
        found = list(saver.interrupts(**selected, limit=limit))
    if as_json:
        print_json([{**one._asdict(), "value": plain(one.value)} for one in found])
        return
    rows = [(one.thread_id, one.interrupt_id, brief(one.value)) for one in found]
    print_rows(("thread", "interrupt", "question"), rows, "no questions")


# ---------------------------------------------------------------------- show, history


def show(
    url: Url,
    thread: Thread,
    checkpoint: Annotated[str | None, typer.Option(help="its id; else the newest")] = None,
    ns: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Show a checkpoint: its values, its metadata, its pending writes."""
    with saver_at(url) as saver:
        found = checkpoint_at(saver, thread, ns, checkpoint)
    if as_json:
        print_json(_whole(found))
        return
    head = _line(found)
    print_rows(("", ""), head.items(), "")
    values = found.checkpoint["channel_values"]
    out = console()
    for channel, value in sorted(values.items()):
        out.print()
        out.print(printable(channel), style="bold", markup=False)
        lines = [spoken(one) for one in value] if is_conversation(value) else [brief(value, 2000)]
        for line in lines:
            out.print(f"  {line}", markup=False, highlight=False)
    if found.pending_writes:
        out.print()
        rows = [(task, channel, brief(value, 40)) for task, channel, value in found.pending_writes]
        print_rows(("pending: task", "channel", "value"), rows, "")


def history(
    url: Url,
    thread: Thread,
    ns: Namespace = "",
    limit: Annotated[int, typer.Option(min=0, help="how many at most")] = 20,
    as_json: AsJson = False,
) -> None:
    """List a thread's checkpoints, newest first."""
    with saver_at(url) as saver:
        checkpoint_at(saver, thread, ns)
        found = [_line(one) for one in saver.list(config_at(thread, ns), limit=limit)]
    if as_json:
        print_json(found)
        return
    columns = ("checkpoint_id", "step", "source", "ts", "writes")
    rows = [[one[column] for column in columns] for one in found]
    rows = [[*row[:3], str(row[3])[:19].replace("T", " "), row[4]] for row in rows]
    print_rows(("checkpoint", "step", "source", "time", "writes"), rows, "no checkpoints")


def _line(found: CheckpointTuple) -> dict[str, Any]:
    named = found.config["configurable"]
    parent = (found.parent_config or {}).get("configurable", {})
    return {
        "thread_id": named["thread_id"],
        "checkpoint_ns": named.get("checkpoint_ns", ""),
        "checkpoint_id": named["checkpoint_id"],
        "parent_id": parent.get("checkpoint_id"),
        "ts": found.checkpoint["ts"],
        "step": found.metadata.get("step"),
        "source": found.metadata.get("source"),
        "writes": len(found.pending_writes or ()),
    }


def _whole(found: CheckpointTuple) -> dict[str, Any]:
    pending = [
        {"task_id": task, "channel": channel, "value": plain(value)}
        for task, channel, value in found.pending_writes or ()
    ]
    return {
        **{name: value for name, value in _line(found).items() if name != "writes"},
        "metadata": plain(found.metadata),
        "values": plain(found.checkpoint["channel_values"]),
        "pending_writes": pending,
    }


# ---------------------------------------------------------------------- diff

Which = Annotated[str, typer.Argument(help="THREAD or THREAD@CHECKPOINT", show_default=False)]


def diff(url: Url, a: Which, b: Which, ns: Namespace = "", as_json: AsJson = False) -> None:
    """Compare two checkpoints, channel by channel; conversations message by message."""
    with saver_at(url) as saver:
        before, after = (checkpoint_at(saver, *_named(one, ns)).checkpoint for one in (a, b))
    changes = list(differences(before["channel_values"], after["channel_values"]))
    if as_json:
        print_json([{**change, **_plain_sides(change)} for change in changes])
        return
    out = console()
    for change in changes:
        out.print(f"{change['change']}: {printable(change['channel'])}", style="bold", markup=False)
        lines = list(_signed(change.get("before"), change.get("after")))
        for sign, line in lines or [("=", "the same words, under other ids")]:
            style = {"-": "red", "+": "green"}.get(sign, "dim")
            out.print(f"  {sign} {line}", style=style, markup=False, highlight=False)
    if not changes:
        out.print("no channel differs")


def _named(text: str, ns: str) -> tuple[str, str, str | None]:
    thread, at, checkpoint = text.rpartition("@")
    if at and _ID.fullmatch(checkpoint):
        return thread, ns, checkpoint
    return text, ns, None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The channels that differ, with their values in both checkpoints."""
    for channel in sorted({*before, *after}):
        if channel not in before:
            yield {"channel": channel, "change": "added", "after": after[channel]}
        elif channel not in after:
            yield {"channel": channel, "change": "removed", "before": before[channel]}
        elif plain(before[channel]) != plain(after[channel]):
            sides = {"before": before[channel], "after": after[channel]}
            yield {"channel": channel, "change": "changed", **sides}


def _plain_sides(change: Mapping[str, Any]) -> dict[str, Any]:
    return {side: plain(change[side]) for side in ("before", "after") if side in change}


def _signed(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    if is_conversation(after) and (before in (None, []) or is_conversation(before)):
        old, new = ([spoken(one) for one in side or []] for side in (before, after))
        yield from (("-", line) for line in old if line not in new)
        yield from (("+", line) for line in new if line not in old)
        return
    if before is not None:
        yield "-", brief(before, 200)
    if after is not None:
        yield "+", brief(after, 200)
