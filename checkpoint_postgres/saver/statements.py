"""The SQL statements of this backend: read from files, assembled for a schema, and cached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache, partial

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.config import text
from checkpoint_base.sql.migrations import Migration, load_migrations, load_queries

_PACKAGE = "checkpoint_postgres"
_SLOT = re.compile(r"\{(\w+)\}")
_ANY = re.compile(r"('?)\{(\w+)\}")
_NAMED = re.compile(r"('?)\{(schema|source)\}")
_TABLE = re.compile(r"CREATE TABLE (\S+) (\(\n.*?\n\)) (WITH .*?);", re.DOTALL)
_LONGEST = 63  # bytes of an identifier


def quoted(schema: str) -> str:
    """A schema's name as a quoted identifier.

    Raises:
        InvalidArgumentError: it is no text, is empty, or is too long.
    """
    name = text("schema", schema)
    if not name or len(name.encode()) > _LONGEST:
        raise InvalidArgumentError(f"schema: wanted 1 to {_LONGEST} bytes, got {schema!r}")
    return '"' + name.replace('"', '""') + '"'


def _in_schema(sql: str, schema: str, source: str = "") -> str:
    names = {"schema": quoted(schema), "source": quoted(source or schema)}

    def name(match: re.Match[str]) -> str:
        found = names[match[2]]
        return match[1] + (found.replace("'", "''") if match[1] else found)

    return _NAMED.sub(name, sql)


@lru_cache
def statements(schema: str) -> Mapping[str, str]:
    """The statements of a saver. Those of puts and reads are assembled from their files' blocks."""
    plain = load_queries(_PACKAGE)
    put, read = load_queries(_PACKAGE, "put.sql"), load_queries(_PACKAGE, "read.sql")
    new, known = {"open": "open"}, {"open": "reopen"}
    of_put = {"and_garbage": "no_garbage"}
    of_writes = {"allowed": "put_writes_allowed", "and_garbage": "no_garbage"}
    of_special = {**of_writes, "and_garbage": "garbage_of_writes"}
    whole = {
        "put_new": _filled(put, "put", {**new, **of_put, "allowed": "put_allowed"}),
        "put_known": _filled(put, "put", {**known, **of_put, "allowed": "put_known_allowed"}),
        "writes_new": _filled(put, "put_writes", new | of_writes),
        "writes_known": _filled(put, "put_writes", known | of_writes),
        "special_new": _filled(put, "put_writes", new | of_special),
        "special_known": _filled(put, "put_writes", known | of_special),
        "newest": _filled(read, "single", {"found": "newest"}),
        "one": _filled(read, "single", {"found": "one"}),
        # `list` fills the slot with its SELECT of checkpoints
        "found": _filled(read, "whole", {"found": ""}),
        "bare": _filled(read, "bare", {"found": ""}),
        "columns": read["columns"],
        "tables": read["tables"],
        "some": _filled(read, "some", {}),
        "list_threads": _filled(read, "list_threads", {}),
        "list_heads": _filled(read, "list_heads", {}),
    }
    return {name: _in_schema(sql, schema) for name, sql in {**plain, **whole}.items()}


@lru_cache
def rights_statement() -> str:
    """The statement that returns the rights which the current role lacks."""
    return load_queries(_PACKAGE, "rights.sql")["rights"]


def _filled(blocks: Mapping[str, str], name: str, choice: Mapping[str, str]) -> str:
    """A block, in which each `{name}` is replaced by the block `choice[name]`, or else `name`."""

    def block(match: re.Match[str]) -> str:
        wanted = choice.get(match[1], match[1])
        return _filled(blocks, wanted, choice) if wanted in blocks else match[0]

    return _SLOT.sub(block, blocks[name])


@lru_cache
def adopting(schema: str, source: str) -> Mapping[str, str]:
    """The statements of `adopt`, which reads LangGraph's own tables in the schema `source`."""
    found = load_queries(_PACKAGE, "adopt.sql")
    return {name: _in_schema(sql, schema, source) for name, sql in found.items()}


@lru_cache
def store_statements(schema: str) -> Mapping[str, str]:
    """The statements of a store."""
    plain = load_queries(_PACKAGE, "store.sql")
    whole = {name: _filled(plain, name, {}) for name in plain}
    with_free = {**plain, "free": "free,"}
    whole |= {
        "put_free": _filled(with_free, "put_items", {}),
        "delete_free": _filled(with_free, "delete_items", {}),
        "items": "{schema}.store_items",
        "embeddings": "{schema}.store_embeddings",
    }
    for name in ("put_items", "delete_items", "put_after_expiry"):
        whole[name] = whole[name].replace("{free} ", "")
    whole |= {name: _filled(whole, name, {}) for name in ("put_plain", "put_only")}
    return {name: _in_schema(sql, schema) for name, sql in whole.items()}


@lru_cache
def store_statement(schema: str, name: str, **named: str) -> str:
    """A statement of a store that has more slots than the schema; `named` fills them."""
    names = {"schema": quoted(schema), **named}

    def slot(match: re.Match[str]) -> str:
        found = names[match[2]]
        return match[1] + (found.replace("'", "''") if match[1] else found)

    return _ANY.sub(slot, load_queries(_PACKAGE, "store.sql")[name])


@lru_cache
def cache_statements(schema: str) -> Mapping[str, str]:
    """The statements of a cache."""
    found = load_queries(_PACKAGE, "cache.sql")
    return {name: _in_schema(sql, schema) for name, sql in found.items()}


def cache_migrations(schema: str) -> tuple[Migration, ...]:
    """The migrations of a cache."""
    found = load_migrations(_PACKAGE, "cache_migrations")
    return tuple(Migration(one.number, _in_schema(one.sql, schema)) for one in found)


def store_migrations(schema: str) -> tuple[Migration, ...]:
    """The migrations of a store."""
    found = load_migrations(_PACKAGE, "store_migrations")
    return tuple(Migration(one.number, _in_schema(one.sql, schema)) for one in found)


def migrations(schema: str, partitions: int | None = None) -> tuple[Migration, ...]:
    """The migrations of a saver, whose tables have hash partitions if `partitions` is given."""
    found = load_migrations(_PACKAGE)
    if partitions is not None:
        found = tuple(
            Migration(one.number, _TABLE.sub(partial(_partitioned, partitions), one.sql))
            for one in found
        )
    return tuple(Migration(one.number, _in_schema(one.sql, schema)) for one in found)


def _partitioned(partitions: int, table: re.Match[str]) -> str:
    """CREATE TABLE for a partitioned table and its partitions, which have the storage settings."""
    name, columns, settings = table.groups()
    pieces = [f"CREATE TABLE {name} {columns} PARTITION BY HASH (thread_id);"]
    pieces += [
        f"CREATE TABLE {name}_{n} PARTITION OF {name} "
        f"FOR VALUES WITH (MODULUS {partitions}, REMAINDER {n}) {settings};"
        for n in range(partitions)
    ]
    return "\n".join(pieces)
