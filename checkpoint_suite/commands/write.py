"""Commands that write: setup, delete, prune, copy, sweep."""

from __future__ import annotations

from typing import Annotated

import typer

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_suite.commands.read import checkpoint_at
from checkpoint_suite.commands.selection import (
    After,
    Before,
    Filter,
    Prefix,
    Selection,
    Status,
    chosen_threads,
)
from checkpoint_suite.database import (
    AsJson,
    Cache,
    Store,
    Url,
    Yes,
    cache_at,
    confirm,
    saver_at,
    store_at,
)
from checkpoint_suite.output import console, print_json, print_rows

Threads = Annotated[list[str] | None, typer.Argument(help="ids of threads", show_default=False)]


def say(text: str, data: object, *, as_json: bool) -> None:
    """Print the outcome: `data` as JSON, or else `text`."""
    if as_json:
        print_json(data)
    else:
        console().print(text, markup=False, highlight=False)


def setup(url: Url, store: Store = False, cache: Cache = False, as_json: AsJson = False) -> None:
    """Create or migrate the schema of the saver, and of the store or cache if asked to."""
    made = []
    with saver_at(url, writes=True, setup=True):
        made.append("saver")
    if store:
        with store_at(url, writes=True, setup=True):
            made.append("store")
    if cache:
        with cache_at(url, writes=True, setup=True):
            made.append("cache")
    say(f"set up: {', '.join(made)}", made, as_json=as_json)


def delete(
    url: Url,
    threads: Threads = None,
    filter: Filter = None,
    status: Status = None,
    prefix: Prefix = "",
    updated_before: Before = None,
    updated_after: After = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count, and delete nothing")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete threads, by their ids or by a filter."""
    selected = Selection(prefix, updated_before, updated_after, filter, status)
    with saver_at(url, writes=not dry_run) as saver:
        chosen = chosen_threads(saver, threads, selected)
        if dry_run:
            say(f"would delete {_counted(chosen)}", chosen, as_json=as_json)
            return
        if chosen:
            confirm(f"delete {_counted(chosen)}, with all their checkpoints?", yes=yes)
        for thread_id in chosen:
            saver.delete_thread(thread_id)
    say(f"deleted {_counted(chosen)}", chosen, as_json=as_json)


def prune(
    url: Url,
    threads: Threads = None,
    keep_latest: Annotated[
        bool, typer.Option("--keep-latest", help="all but the newest checkpoint of each namespace")
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

    A dry run prints an upper bound: a prune also keeps the ancestors that the values of a
    DeltaChannel are rebuilt from.
    """
    if not keep_latest:
        raise InvalidArgumentError("prune: say what is to be kept: --keep-latest")
    with saver_at(url, writes=not dry_run) as saver:
        selected = Selection(prefix, updated_before, updated_after, filter, status)
        chosen = chosen_threads(saver, threads, selected)
        rows = []
        if chosen and not dry_run:
            confirm(f"remove the history of {_counted(chosen)}?", yes=yes)
        for thread_id in chosen:
            before = saver.stats(thread_id)["checkpoints"]
            if dry_run:
                kept = _namespaces(saver, thread_id)
                rows.append(
                    {"thread_id": thread_id, "checkpoints": before, "at_most": before - kept}
                )
                continue
            saver.prune([thread_id], strategy="keep_latest")
            removed = before - saver.stats(thread_id)["checkpoints"]
            rows.append({"thread_id": thread_id, "checkpoints": before, "removed": removed})
    if as_json:
        print_json(rows)
        return
    last = "would be removed, at most" if dry_run else "removed"
    print_rows(("thread", "checkpoints", last), [list(row.values()) for row in rows], "no threads")


def copy(
    url: Url,
    source: Annotated[str, typer.Argument(help="a thread's id", show_default=False)],
    target: Annotated[str, typer.Argument(help="the copy's id", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Copy a thread with its whole history."""
    with saver_at(url, writes=True) as saver:
        checkpoint_at(saver, source)
        saver.copy_thread(source, target)
        count = saver.stats(target)["checkpoints"]
    done = {"thread_id": target, "checkpoints": count}
    say(f"copied {source!r} to {target!r}: {count} checkpoints", done, as_json=as_json)


def sweep(url: Url, store: Store = False, cache: Cache = False, as_json: AsJson = False) -> None:
    """Remove expired threads, and expired items or cache entries if asked to."""
    with saver_at(url, writes=True) as saver:
        swept = {"threads": saver.sweep_ttl()}
    if store:
        with store_at(url, writes=True) as items:
            swept["items"] = items.sweep_ttl()
    if cache:
        with cache_at(url, writes=True) as entries:
            swept["entries"] = entries.sweep_ttl()
    counts = ", ".join(f"{count} {kind}" for kind, count in swept.items())
    say(f"expired: {counts}", swept, as_json=as_json)


def _namespaces(saver: FullSyncSaver, thread_id: str) -> int:
    found = saver.list({"configurable": {"thread_id": thread_id}})
    return len({one.config["configurable"]["checkpoint_ns"] for one in found})


def _counted(threads: list[str]) -> str:
    if len(threads) == 1:
        return f"the thread {threads[0]!r}"
    return f"{len(threads)} threads"
