"""The commands `doctor` (health checks) and `verify` (checksums of all stored values)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from typing import Annotated, Any, Final

import typer

from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    InvalidArgumentError,
    NotSetUpError,
    SchemaVersionError,
)
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_suite.commands.read import config_at
from checkpoint_suite.commands.selection import Prefix, Selection, found_threads
from checkpoint_suite.database import FAILED, AsJson, Url, saver_at, shown, store_at
from checkpoint_suite.output import errors, print_json, print_rows

_ASKED: Final = 5
_SAMPLE: Final = 20
_SLOW: Final = 0.02  # seconds
Check = dict[str, str]


def doctor(
    database: Annotated[
        str | None, typer.Argument(help="the database's URL", show_default=False)
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", envvar="CHECKPOINT_URL", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check whether the database can be used, and advise what to do if not."""
    at = database or url
    if at is None:
        raise InvalidArgumentError("which database? doctor URL, --url or CHECKPOINT_URL")
    checks: list[Check] = []
    with saver_at(at) as saver:
        checks += _checks(saver)
    checks.append(_store(at))
    is_well = not any(check["state"] == "wrong" for check in checks)
    if as_json:
        print_json({"url": shown(at), "ok": is_well, "checks": checks})
    else:
        rows = [[check[name] for name in ("check", "state", "found")] for check in checks]
        print_rows((shown(at), "", ""), rows, "")
        for check in checks:
            if check["advice"]:
                errors().print(f"{check['check']}: {check['advice']}", markup=False)
    if not is_well:
        raise typer.Exit(FAILED)


def _check(name: str, state: str, found: str, advice: str = "") -> Check:
    return {"check": name, "state": state, "found": found, "advice": advice}


def _checks(saver: FullSyncSaver) -> Iterator[Check]:
    try:
        found = saver.stats()
    except NotSetUpError:
        yield _check("schema", "wrong", "not set up", "run: checkpoint-suite setup")
        return
    except SchemaVersionError as error:
        yield _check("schema", "wrong", str(error), "upgrade langgraph-checkpoint-suite")
        return
    yield _check("server", "ok", found["server"])
    counts = (
        f"{found['threads']} threads, {found['checkpoints']} checkpoints, {found['bytes']} bytes"
    )
    yield _check("stored", "ok", counts)
    yield _round_trip(saver)
    yield _expired(saver)
    yield _readable(saver)


def _round_trip(saver: FullSyncSaver) -> Check:
    times = []
    for _ in range(_ASKED):
        began = time.perf_counter()
        saver.get_tuple(config_at("checkpoint-suite doctor asks for what is not there"))
        times.append(time.perf_counter() - began)
    best = min(times)
    advice = "run the application nearer to the database" if best > _SLOW else ""
    state = "slow" if advice else "ok"
    return _check("round trip", state, f"{best * 1000:.1f} ms, the best of {_ASKED}", advice)


def _expired(saver: FullSyncSaver) -> Check:
    now = datetime.now(timezone.utc)
    some = list(found_threads(saver, Selection(), 1000))
    expired = sum(one.expires_at is not None and one.expires_at <= now for one in some)
    advice = "run a sweeper, or: checkpoint-suite sweep --strategy …" if expired else ""
    found = f"{expired} of the newest {len(some)} threads wait to be removed"
    return _check("expired", "waiting" if expired else "ok", found, advice)


def _readable(saver: FullSyncSaver) -> Check:
    looked, unreadable = 0, ""
    for one in found_threads(saver, Selection(), _SAMPLE):
        looked += 1
        try:
            saver.get_tuple(config_at(one.thread_id))
        except BackendUnavailableError:
            raise
        except CheckpointError as error:
            unreadable = unreadable or str(error)
    if unreadable:
        return _check("values", "wrong", unreadable, "run: checkpoint-suite verify")
    return _check("values", "ok", f"the newest {looked} threads can be read")


def _store(url: str) -> Check:
    with suppress(NotSetUpError):
        with store_at(url) as store:
            found = store.stats()
        return _check("store", "ok", f"{found.items} items, {found.vectors} vectors")
    return _check("store", "ok", "not set up, which is well if none is used")


def verify(url: Url, prefix: Prefix = "", as_json: AsJson = False) -> None:
    """Read every stored checkpoint and write, and check every checksum.

    Exit code 1 if anything is damaged.
    """
    damaged: list[dict[str, Any]] = []
    checked = 0
    with saver_at(url) as saver:
        for thread in found_threads(saver, Selection(prefix)):
            try:
                for _ in saver.list({"configurable": {"thread_id": thread.thread_id}}):
                    checked += 1
            except BackendUnavailableError:
                raise
            except CheckpointError as error:
                damaged.append({"thread_id": thread.thread_id, "error": str(error)})
    if as_json:
        print_json(damaged)
    else:
        rows = [(one["thread_id"], one["error"]) for one in damaged]
        print_rows(("damaged", "what"), rows, f"{checked} checkpoints, all of them as stored")
    if damaged:
        raise typer.Exit(FAILED)
