"""Commands that write: setup, delete, copy, sweep."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

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
from checkpoint_suite.output import console, print_json

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
            say(f"would delete {counted(chosen)}", chosen, as_json=as_json)
            return
        if chosen:
            confirm(f"delete {counted(chosen)}, with all their checkpoints?", yes=yes)
        for thread_id in chosen:
            saver.delete_thread(thread_id)
    say(f"deleted {counted(chosen)}", chosen, as_json=as_json)


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


def sweep(
    url: Url,
    strategy: Annotated[
        Literal["delete", "keep_latest"],
        typer.Option(help="what becomes of expired threads; that of the application's ttl"),
    ],
    store: Store = False,
    cache: Cache = False,
    as_json: AsJson = False,
) -> None:
    """Delete expired threads, or their history, and expired items or cache entries if asked to."""
    with saver_at(url, writes=True, strategy=strategy) as saver:
        swept = {"threads": saver.sweep_ttl()}
    if store:
        with store_at(url, writes=True) as items:
            swept["items"] = items.sweep_ttl()
    if cache:
        with cache_at(url, writes=True) as entries:
            swept["entries"] = entries.sweep_ttl()
    counts = ", ".join(f"{count} {kind}" for kind, count in swept.items())
    say(f"expired: {counts}", swept, as_json=as_json)


def counted(threads: list[str]) -> str:
    """Name a thread, or count several."""
    if len(threads) == 1:
        return f"the thread {threads[0]!r}"
    return f"{len(threads)} threads"
