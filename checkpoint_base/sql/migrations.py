"""Numbered schema migrations and named queries, loaded from a backend's .sql files.

A migration that was released is never edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from checkpoint_base.errors import SchemaVersionError

_FILE = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True)
class Migration:
    """One schema migration: its number and its SQL text."""

    number: int
    sql: str

    @property
    def statements(self) -> list[str]:
        """The single statements, split at semicolons; only a trigger's body may contain one."""
        code = "\n".join(line.split("--")[0] for line in self.sql.splitlines())
        found: list[str] = []
        for part in map(str.strip, code.split(";")):
            if found and _is_open_trigger(found[-1]):
                found[-1] += f"; {part}"
            elif part:
                found.append(part)
        return found


def _is_open_trigger(statement: str) -> bool:
    return statement.startswith("CREATE TRIGGER") and not statement.endswith("END")


def load_migrations(package: str, name: str = "migrations") -> tuple[Migration, ...]:
    """Load the migrations in `package`'s folder `sql/{name}`, ordered by number."""
    folder = resources.files(package) / "sql" / name
    found = {
        int(match[1]): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if (match := _FILE.fullmatch(entry.name))
    }
    return tuple(Migration(number, found[number]) for number in sorted(found))


def load_queries(package: str, name: str = "queries.sql") -> Mapping[str, str]:
    """Load the named statements of a file. A line `-- name: the_name` precedes each."""
    text = (resources.files(package) / "sql" / name).read_text(encoding="utf-8")
    blocks = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return {name: sql.strip() for name, sql in zip(blocks[::2], blocks[1::2], strict=True)}


def pending(known: Iterable[Migration], applied: set[int], database: str) -> list[Migration]:
    """The migrations that `database` still needs, ordered by number.

    Raises:
        SchemaVersionError: a newer version of this library has migrated the database.
    """
    known = tuple(known)
    newest = max(migration.number for migration in known)
    if (there := max(applied, default=0)) > newest:
        raise SchemaVersionError(
            f"{database} has schema version {there}, this version of langgraph-checkpoint-suite "
            f"knows versions up to {newest}: upgrade the library"
        )
    return [migration for migration in known if migration.number not in applied]
