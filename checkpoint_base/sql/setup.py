"""Creating and migrating a schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from checkpoint_base.migrate import Migration, pending
from checkpoint_base.plan import Plan, read, write
from checkpoint_base.sql.logs import SqlLogs
from checkpoint_base.sql.requests import execute, rows


class Setup:
    """The plan of `setup`."""

    database: ClassVar[str]
    """what messages call it"""
    _logs: SqlLogs
    _migrations: Sequence[Migration]

    def setup(self) -> Plan[None]:
        """Create or migrate the schema; only reads when there is nothing to do."""
        if (yield from read(self._missing)):
            yield from write(self._migrate)

    def _missing(self) -> Plan[bool]:
        if not (yield from rows(self._logs.queries["has_migrations"])):
            return True
        return bool((yield from self._pending()))

    def _pending(self) -> Plan[list[Migration]]:
        applied = yield from rows(self._logs.queries["applied_migrations"])
        return pending(self._migrations, {number for (number,) in applied}, self.database)

    def _migrate(self) -> Plan[None]:
        yield from execute(self._logs.queries["create_migrations"])
        for migration in (yield from self._pending()):
            for statement in migration.statements:
                yield from execute(statement)
            noted = (migration.number, self._logs.clock())
            yield from execute(self._logs.queries["note_migration"], noted)
