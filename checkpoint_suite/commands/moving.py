"""Commands that move threads between databases and archives: export, import, migrate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.threads.importing import import_threads
from checkpoint_suite.archive import export_threads, import_archive
from checkpoint_suite.commands.write import Threads, say
from checkpoint_suite.database import AsJson, Url, saver_at, shown
from checkpoint_suite.output import errors

File = Annotated[Path, typer.Argument(help="an archive: ….ckpt.jsonl.xz", show_default=False)]


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Report an OSError as an InvalidArgumentError that names the file."""
    try:
        yield
    except OSError as error:
        raise InvalidArgumentError(f"{str(path)!r}: {error.strerror or error}") from error


def export(
    url: Url,
    file: File,
    threads: Threads = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="types and sizes instead of values, for bug reports")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write threads (default: all) to a new archive. Encrypted values stay encrypted."""
    with _file_errors(file), saver_at(url) as saver:
        done = export_threads(saver, file, threads, redact=redact)
    text = f"exported {done.threads} threads, {done.checkpoints} checkpoints"
    say(text, done._asdict(), as_json=as_json)


def import_(url: Url, file: File, threads: Threads = None, as_json: AsJson = False) -> None:
    """Store threads (default: all) of an archive, which is verified as a whole before that."""
    with _file_errors(file), saver_at(url, writes=True, setup=True) as saver:
        done = import_archive(file, saver, threads)
    text = f"imported {done.threads} threads, {done.checkpoints} checkpoints"
    say(text, done._asdict(), as_json=as_json)


def migrate(
    source: Annotated[str, typer.Argument(help="the database that has them", show_default=False)],
    target: Annotated[str, typer.Argument(help="the one that gets them", show_default=False)],
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Copy threads (default: all) from one database to another, which is set up first.

    The source is only read. Run it again after an interruption, or when threads have new
    checkpoints.
    """
    told = 0

    def progress(thread_id: str, count: int) -> None:
        nonlocal told
        told += 1
        if not as_json:
            line = f"{told}: {thread_id}, {count} checkpoints"
            errors().print(line, markup=False, highlight=False)

    with saver_at(source) as old, saver_at(target, writes=True, setup=True) as new:
        copied = import_threads(old, new, threads, progress=progress)
    done = {"threads": told, "checkpoints": copied}
    text = f"copied {told} threads, {copied} checkpoints to {shown(target)}"
    say(text, done, as_json=as_json)
