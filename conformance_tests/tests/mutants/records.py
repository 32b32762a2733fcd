"""Savers that take a record's word for what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from checkpoint_base.plan import Plan
from checkpoint_base.saver.records import checksums
from checkpoint_base.saver.records.channel_cache import Channels
from checkpoint_base.saver.records.embedded import NOTHING
from checkpoint_base.saver.records.kinds import Stored
from checkpoint_sqlite import AsyncSqliteSaver, SqliteSaver
from checkpoint_sqlite.tests.harness import SqliteHarness
from conformance_tests.tests.mutants.registry import C, mutant

_ROWS = "checkpoint_base.sql.rows"


def without(target: str, instead: Any, caught_by: str) -> Callable[[C], C]:
    """A SQLite saver in which another function stands for one of ours."""

    def harness(cls: type, folder: Path) -> Any:
        return cls(folder / "saver.db")

    def register(cls: C) -> C:
        cls.replaced = target, instead  # type: ignore[attr-defined]
        return mutant(caught_by, harness)(cls)

    return register


class _Replaced(SqliteHarness):
    replaced: tuple[str, Any]

    @contextmanager
    def open(self, **options: Any) -> Iterator[SqliteSaver]:
        with patch(*self.replaced), super().open(**options) as saver:
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncSqliteSaver]:
        with patch(*self.replaced):
            async with super().aopen(**options) as saver:
                yield saver


def _unchecked(_self: Any, _ns: str, _channel: str, _version: str, stored: Stored) -> Stored:
    return stored._replace(inline=stored.inline[: -checksums.CHECKSUM_SIZE])


@without(f"{_ROWS}.ThreadRows.value", _unchecked, "saver.record_integrity.each_byte_counts")
class SmallValuesAreTaken(_Replaced):
    """A small value is read without a look at its checksum."""


_checksum = checksums.checksum


@without(
    "checkpoint_base.saver.records.checksums.checksum",
    lambda salt, names, *data: _checksum(salt, names, *data[:2]),
    "saver.record_integrity.each_byte_counts",
)
class EmbeddedValuesAreTaken(_Replaced):
    """The checksum of a checkpoint does not cover the values that are embedded in it."""


@without(
    "checkpoint_base.saver.codec.checkpoints.is_stored",
    lambda _where, _valueless, key, stored: key in stored,
    "saver.record_integrity.a_lost_value_is_an_error",
)
class LostIsAbsent(_Replaced):
    """A value that is gone reads as a channel without a value."""


@without(
    "checkpoint_base.saver.delta.is_stored",
    lambda _where, _valueless, key, stored: key in stored,
    "saver.record_integrity.a_lost_seed_is_an_error",
)
class NoSeed(_Replaced):
    """Delta history begins with nothing where the value to begin with is gone."""


@without(
    "checkpoint_base.saver.records.checksums.checksum",
    lambda salt, names, *data: _checksum(salt, names[:1], *data),
    "saver.record_identity.swapped_records_are_an_error",
)
class ChecksumsOfContents(_Replaced):
    """A checksum covers a record's bytes, but not which record it is."""


@without(
    "checkpoint_base.saver.records.checksums.checksum",
    lambda _salt, names, *data: _checksum(b"", names, *data),
    "saver.record_identity.records_of_another_thread_are_an_error",
)
class ChecksumsWithoutAThread(_Replaced):
    """A checksum does not cover which thread a record belongs to."""


@without(
    "checkpoint_base.saver.records.channel_cache.Channels.of",
    lambda *_: Channels({}, (), NOTHING),
    "saver.put.value_that_is_not_carried_outlives_its_parent",
)
class ParentsAreNotLookedAt(_Replaced):
    """A put takes nothing from its parent's row: a small value that it does not carry is lost."""


def _unread(*_: Any) -> Plan[None]:
    yield from ()


@without(
    "checkpoint_base.sql.removal.SqlRemoval._read_embedded",
    _unread,
    "saver.delta_history.seed_is_the_nearest_stored_value",
)
class SmallSeedsAreNotLookedFor(_Replaced):
    """Delta history finds no seed that is embedded in an ancestor's row."""
