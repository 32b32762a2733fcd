"""The plan of `setup`: create or migrate the SQL schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from checkpoint_base.plan import Plan, read, unlimited, write
from checkpoint_base.sql.logs import SqlDedupWriter
from checkpoint_base.sql.migrations import Migration, pending
from checkpoint_base.sql.requests import execute, rows


class Schema(Protocol):
    """The statements by name and the clock (epoch seconds) that `SqlSetup` uses."""

    @property
    def queries(self) -> Mapping[str, str]: ...

    @property
    def clock(self) -> Callable[[], float]: ...


@dataclass(frozen=True)
class StoreSchema:
    """The `Schema` of stores and caches, which have no thread logs."""

    queries: Mapping[str, str]
    clock: Callable[[], float]


class SqlSetup:
    """The plan of `setup`."""

    database: ClassVar[str]
    """the database's name in error messages"""
    _logs: SqlDedupWriter
    _migrations: Sequence[Migration]

    @property
    def _setup_schema(self) -> Schema:
        return self._logs

    def setup(self) -> Plan[None]:
        """Create or migrate the schema; writes nothing if it is up to date."""
        if (yield from unlimited(read(self._missing))):
            yield from unlimited(write(self._migrate))

    def _missing(self) -> Plan[bool]:
        if not (yield from rows(self._setup_schema.queries["has_migrations"])):
            return True
        return bool((yield from self._pending()))

    def _pending(self) -> Plan[list[Migration]]:
        applied = yield from rows(self._setup_schema.queries["applied_migrations"])
        return pending(self._migrations, {number for (number,) in applied}, self.database)

    def _migrate(self) -> Plan[None]:
        yield from execute(self._setup_schema.queries["create_migrations"])
        for migration in (yield from self._pending()):
            for statement in migration.statements:
                yield from execute(statement)
            noted = (migration.number, self._setup_schema.clock())
            yield from execute(self._setup_schema.queries["note_migration"], noted)
