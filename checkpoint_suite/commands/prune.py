"""The command `prune`: removes history, by a retention policy or of named threads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_base.saver.ttl.retention import Retention, RetentionReport
from checkpoint_suite.commands.selection import (
    After,
    Before,
    Filter,
    Prefix,
    Selection,
    Status,
    chosen_threads,
)
from checkpoint_suite.commands.write import Threads, counted
from checkpoint_suite.database import AsJson, Url, Yes, confirm, saver_at
from checkpoint_suite.output import print_json, print_rows


def prune(
    url: Url,
    threads: Threads = None,
    keep_last: Annotated[
        int | None, typer.Option(help="how many checkpoints of each namespace stay", min=1)
    ] = None,
    max_age: Annotated[
        str | None, typer.Option(help="remove checkpoints older than this: 30d, 12h", metavar="AGE")
    ] = None,
    idle: Annotated[
        str | None,
        typer.Option(help="delete threads last written longer ago than this", metavar="AGE"),
    ] = None,
    namespaces: Annotated[
        str, typer.Option(help="all, or root: spare the checkpoints of subgraphs")
    ] = "all",
    keep_latest: Annotated[
        bool, typer.Option("--keep-latest", help="of THREADS, keep the newest checkpoints only")
    ] = False,
    filter: Filter = None,
    status: Status = None,
    prefix: Prefix = "",
    updated_before: Before = None,
    updated_after: After = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count, and remove nothing")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove the history of threads, but nothing that their state needs.

    --keep-last, --max-age and --idle are a policy for all threads, or for those whose newest
    metadata matches --filter. --keep-latest prunes some threads, given by ids or by a filter.

    A dry run of --keep-latest prints an upper bound: a prune also keeps the ancestors that the
    values of a DeltaChannel are rebuilt from.
    """
    selected = Selection(prefix, updated_before, updated_after, filter, status)
    if keep_last is None and max_age is None and idle is None:
        if not keep_latest:
            raise InvalidArgumentError(
                "prune: say what is to be kept: --keep-last, --max-age or --idle for all threads, "
                "--keep-latest for some"
            )
        if namespaces != "all":
            raise InvalidArgumentError("prune: --namespaces needs a policy")
        with saver_at(url, writes=not dry_run) as saver:
            rows = _keep_latest(saver, chosen_threads(saver, threads, selected), dry_run, yes)
        _print_threads(rows, dry_run=dry_run, as_json=as_json)
        return
    where = selected.arguments["filter"]
    if keep_latest or threads or any(selected._replace(filter=None)):
        raise InvalidArgumentError(
            "prune: a policy applies to all threads, or to those of --filter; wanted no threads, "
            "other filters or --keep-latest"
        )
    # Retention checks `namespaces`, with the same error as in Python
    policy = Retention(keep_last, max_age, idle, namespaces, where)  # type: ignore[arg-type]
    with saver_at(url, writes=not dry_run) as saver:
        if not dry_run and not yes:
            _confirm(saver.prune(policy, dry_run=True))
        report = saver.prune(policy, dry_run=dry_run)
    if as_json:
        print_json(asdict(report))
    else:
        print_rows(("dry run" if dry_run else "", ""), _lines(report), "")


def _confirm(report: RetentionReport) -> None:
    if report.threads_removed or report.threads_pruned:
        whole = f"delete {report.threads_removed} threads" if report.threads_removed else ""
        history = f"remove history of {report.threads_pruned} threads"
        what = " and ".join(filter(None, [whole, history if report.threads_pruned else ""]))
        confirm(f"{what}, {report.checkpoints_removed} checkpoints in all?", yes=False)


def _lines(report: RetentionReport) -> list[tuple[str, str]]:
    after = "" if report.bytes_after is None else f" -> {report.bytes_after:,}"
    lines = [
        ("threads examined", f"{report.threads:,}"),
        ("threads deleted", f"{report.threads_removed:,}"),
        ("threads pruned", f"{report.threads_pruned:,}"),
        ("checkpoints removed", f"{report.checkpoints_removed:,}"),
        ("bytes of these threads", f"{report.bytes_before:,}{after}"),
    ]
    if report.unreadable:
        lines.append(("threads that cannot be read", f"{report.unreadable:,}"))
    return lines


def _keep_latest(
    saver: FullSyncSaver, chosen: list[str], dry_run: bool, yes: bool
) -> list[dict[str, Any]]:
    if chosen and not dry_run:
        confirm(f"remove the history of {counted(chosen)}?", yes=yes)
    rows: list[dict[str, Any]] = []
    for thread_id in chosen:
        before = saver.stats(thread_id)["checkpoints"]
        row: dict[str, Any] = {"thread_id": thread_id, "checkpoints": before}
        if dry_run:
            row["at_most"] = before - _namespaces(saver, thread_id)
        else:
            saver.prune([thread_id], strategy="keep_latest")
            row["removed"] = before - saver.stats(thread_id)["checkpoints"]
        rows.append(row)
    return rows


def _print_threads(rows: list[dict[str, Any]], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    last = "would be removed, at most" if dry_run else "removed"
    print_rows(("thread", "checkpoints", last), [list(row.values()) for row in rows], "no threads")


def _namespaces(saver: FullSyncSaver, thread_id: str) -> int:
    found = saver.list({"configurable": {"thread_id": thread_id}})
    return len({one.config["configurable"]["checkpoint_ns"] for one in found})
