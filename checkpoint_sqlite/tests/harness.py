"""How the conformance suite opens the SQLite savers, and looks into their file."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from checkpoint_base.tests.damage import COLUMNS, CONDITIONS, CONTENTS, flipped
from checkpoint_sqlite import AsyncSqliteSaver, SqliteSaver
from conformance_tests import MovableClock, Place, SaverHarness

RECORDS = ("threads", "checkpoints", "values", "segments", "writes")


@contextmanager
def full(path: Path) -> Iterator[None]:
    """No file of this process may become larger than the largest of the database is."""
    largest = max(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 200_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class SqliteHarness(SaverHarness):
    """A database file; sync and async savers open it side by side."""

    name = "sqlite (file)"
    place = Place.FILES

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opens: str | Path = path
        self.clock = MovableClock()

    def _arguments(self, **options: Any) -> dict[str, Any]:
        # No clause cuts the power, and waiting for the disk at each commit is most of the time.
        return {"clock": self.clock, "synchronous": "normal", **options}

    @contextmanager
    def reading_only(self) -> Iterator[SqliteHarness]:
        restricted = SqliteHarness(self.path)
        restricted.opens, restricted.clock = f"file:{self.path}?mode=ro", self.clock
        yield restricted

    @contextmanager
    def open(self, **options: Any) -> Iterator[SqliteSaver]:
        with SqliteSaver.from_conn_string(self.opens, **self._arguments(**options)) as saver:
            saver.setup()
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncSqliteSaver]:
        arguments = self._arguments(**options)
        async with AsyncSqliteSaver.from_conn_string(self.opens, **arguments) as saver:
            await saver.setup()
            yield saver

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def disk_full(self) -> AbstractContextManager[None]:
        return full(self.path)

    @contextmanager
    def _raw(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            yield connection

    def rows(self) -> Mapping[str, int]:
        with self._raw() as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return dict.fromkeys(RECORDS, 0)
            counts = ", ".join(f"(SELECT count(*) FROM saver_{record})" for record in RECORDS)
            return dict(
                zip(RECORDS, connection.execute(f"SELECT {counts}").fetchone(), strict=True)
            )

    def stored(self) -> bytes:
        with self._raw() as connection:
            # what is still in the write-ahead log goes into the file
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return b"".join(
            file.read_bytes()
            for file in sorted(self.path.parent.glob(f"{self.path.name}*"))
            if not file.name.endswith("-shm")
        )

    def damage(self) -> None:
        with self._raw() as connection, connection:
            found = connection.execute("SELECT id, data FROM saver_segments").fetchone()
            if found is None:
                raise LookupError("no segment is stored")
            data = bytearray(found[1])
            data[len(data) // 2] ^= 1
            connection.execute(
                "UPDATE saver_segments SET data = ? WHERE id = ?", (bytes(data), found[0])
            )

    def damage_record(self, record: str) -> None:
        table, column = COLUMNS[record]
        where = CONDITIONS.get(record, "")
        with self._raw() as connection, connection:
            number, stored = connection.execute(
                f"SELECT rowid, CAST({column} AS BLOB) FROM saver_{table} {where}"
            ).fetchone()
            changed = flipped(stored, record)
            connection.execute(
                f"UPDATE saver_{table} SET {column} = ? WHERE rowid = ?",
                (changed.decode() if record in ("versions", "metadata") else changed, number),
            )

    def lose_value(self, channel: str) -> None:
        with self._raw() as connection, connection:
            connection.execute("DELETE FROM saver_values WHERE channel = ?", (channel,))

    def swap_records(self, record: str) -> None:
        contents = ", ".join(CONTENTS[record])
        with self._raw() as connection, connection:
            (one, *first), (two, *second) = connection.execute(
                f"SELECT rowid, {contents} FROM saver_{record}s ORDER BY rowid LIMIT 2"
            ).fetchall()
            marks = ", ".join(f"{column} = ?" for column in CONTENTS[record])
            update = f"UPDATE saver_{record}s SET {marks} WHERE rowid = ?"
            connection.executemany(update, [(*first, two), (*second, one)])

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def location(self) -> str:
        return str(self.path)

    @classmethod
    def reopen(cls, location: str) -> SaverHarness:
        return cls(Path(location))

    def close(self) -> None:
        """The file is in pytest's temporary folder, which pytest removes."""
