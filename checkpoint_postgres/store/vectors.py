"""The SQL for pgvector: columns and indexes of its types, and searches that use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from checkpoint_postgres.saver.statements import quoted
from checkpoint_postgres.store.reading import Statement, where
from store_vector.config import IndexSettings
from store_vector.embedding.embed import FLOAT32
from store_vector.records import Array, Search

OPERATORS: Final[Mapping[str, str]] = {"cosine": "<=>", "l2": "<->", "inner_product": "<#>"}
_CLASSES: Final[Mapping[str, str]] = {"cosine": "cosine", "l2": "l2", "inner_product": "ip"}
_LONGEST: Final[Mapping[str, int]] = {"vector": 2000, "halfvec": 4000}
_FEW: Final = 2000
"""If up to so many items match namespace, filter and expiry, all of them are compared."""
MOST_UNCONVERTED: Final = 500
"""If more vectors are missing in pgvector's column, all are compared without pgvector."""
_EF_SEARCH: Final = 100
_LEAST_PROBES: Final = 10
_NEWEST_NEEDED: Final = (0, 8)


def text_of(vector: Array) -> str:
    """A vector as pgvector's text; nine digits represent each float32 exactly."""
    return "[" + ",".join(["%.9g"] * len(vector)) % tuple(vector.tolist()) + "]"


def text_of_bytes(data: bytes) -> str:
    """`text_of` a stored vector."""
    return text_of(np.frombuffer(data, dtype=FLOAT32))


def is_new_enough(version: str) -> bool:
    """Whether pgvector continues a scan of the index if a filter leaves too few rows: since 0.8."""
    return tuple(int(part) for part in version.split(".")[:2]) >= _NEWEST_NEEDED


def _passing(queries: Mapping[str, str], conditions: Sequence[str]) -> str:
    """The condition that an embedding's item fulfils `conditions`, which are constants,
    placeholders and integers only.
    """
    if not conditions:
        return ""
    same = ["i.ns = e.ns", "i.key = e.key", *conditions]
    there = f"SELECT 1 FROM {queries['items']} AS i {where(same)}"  # noqa: S608
    return f"AND EXISTS ({there} OFFSET 0)"


@dataclass(frozen=True)
class Engine:
    """Compares vectors in the database, by pgvector.

    Attributes:
        settings: of vector search.
        schema: the schema of the extension.
    """

    settings: IndexSettings
    schema: str

    @property
    def column(self) -> str:
        """The column for vectors of this length and type."""
        return f"{self.settings.vector_type}_{self.settings.dims}"

    @property
    def type(self) -> str:
        """The type of `column`."""
        return f"{quoted(self.schema)}.{self.settings.vector_type}({self.settings.dims})"

    @property
    def is_approximate(self) -> bool:
        """Whether an approximate index is wanted, and pgvector can index vectors of this length."""
        settings = self.settings
        return settings.kind != "flat" and settings.dims <= _LONGEST[settings.vector_type]

    @property
    def index(self) -> str:
        """The name of the approximate index."""
        return f"store_{self.column}_{self.settings.distance}_{self.settings.kind}"

    def index_statement(self, queries: Mapping[str, str], count: int) -> str:
        """The statement that builds the approximate index over `count` vectors."""
        settings = self.settings
        found: dict[str, int | None] = {
            "m": settings.m,
            "ef_construction": settings.ef_construction,
        }
        if settings.kind == "ivfflat":
            found = {"lists": self.lists(count)}
        options = ", ".join(f"{name} = {int(n)}" for name, n in found.items() if n is not None)
        operators = f"{settings.vector_type}_{_CLASSES[settings.distance]}_ops"
        return (
            f"CREATE INDEX IF NOT EXISTS {self.index} ON {queries['embeddings']} "
            f"USING {settings.kind} ({self.column} {quoted(self.schema)}.{operators})"
            + (f" WITH ({options})" if options else "")
        )

    @property
    def unconverted(self) -> str:
        """The condition of rows whose vector is not in `column`: a process that did not know of the
        column has put them.
        """
        return f"{self.column} IS NULL AND octet_length(data) = {4 * self.settings.dims}"

    @property
    def unconverted_index(self) -> str:
        """The name of the partial index of unconverted rows."""
        return f"store_{self.column}_unconverted"

    def unconverted_index_statement(self, queries: Mapping[str, str]) -> str:
        """The statement that builds `unconverted_index`."""
        table = queries["embeddings"]
        name = self.unconverted_index
        return f"CREATE INDEX IF NOT EXISTS {name} ON {table} (ns, key) WHERE {self.unconverted}"

    def lists(self, count: int) -> int:
        """The number of lists of an IVFFlat index over `count` vectors."""
        return self.settings.lists or max(1, min(count // 1000, 1000))

    def distance(self, query: str) -> str:
        """The SQL for the distance of store_embeddings AS e from the query."""
        operator = f"{quoted(self.schema)}.{OPERATORS[self.settings.distance]}"
        return f"e.{self.column} OPERATOR({operator}) {query}"

    @property
    def precision(self) -> float:
        """The relative error of pgvector's distances: it sums in float32, and rounds to halfvec."""
        return 4e-3 if self.settings.vector_type == "halfvec" else 2e-5

    # ------------------------------------------------------------------ searches

    def exact(
        self, queries: Mapping[str, str], search: Search, horizon: float | None, count: int
    ) -> tuple[str, list[Any]]:
        """The statement, and its values, for the nearest vectors of all matching items (the first
        column is true), and for the unconverted ones (NULL).
        """
        statement, query = self._begun(search)
        conditions = [*statement.within(search, "e.ns"), *statement.conditions(search, horizon)]
        converted = where([*conditions, f"e.{self.column} IS NOT NULL"])
        # constants, placeholders and integers only
        sql = f"""
            (
                SELECT true, {queries["columns"]}, e.data FROM {queries["embeddings"]} AS e
                JOIN {queries["items"]} AS i ON i.ns = e.ns AND i.key = e.key {converted}
                ORDER BY {self._sortable(query)} LIMIT {int(count)}
            )
            UNION ALL {self._unconverted(queries, conditions)}
        """  # noqa: S608
        return sql, statement.values

    def _unconverted(self, queries: Mapping[str, str], conditions: list[str]) -> str:
        """The unconverted vectors of matching items, after a NULL; at most MOST_UNCONVERTED + 1."""
        missing = where([*conditions, self.unconverted])
        return f"""(
            SELECT NULL::boolean, {queries["columns"]}, e.data FROM {queries["embeddings"]} AS e
            JOIN {queries["items"]} AS i ON i.ns = e.ns AND i.key = e.key {missing}
            LIMIT {MOST_UNCONVERTED + 1}
        )"""  # noqa: S608 (as above)

    def near(
        self, queries: Mapping[str, str], search: Search, horizon: float | None, count: int
    ) -> tuple[str, list[Any]]:
        """The statement, and its values, for the nearest vectors, by the index unless few items
        match, and for the unconverted ones. The first column says whether the vectors of all
        matching items were compared; at least one row does. NULL: unconverted.
        """
        statement, query = self._begun(search)
        conditions = [*statement.within(search), *statement.conditions(search, horizon)]
        passes = _passing(queries, conditions)
        tuned = ", ".join(
            f"set_config({statement.mark(name, 'text')}, {statement.mark(value, 'text')}, true)"
            for name, value in self._tuning()
        )
        # constants, placeholders and integers only
        sql = f"""
            WITH passing AS MATERIALIZED (
                SELECT i.ns, i.key FROM {queries["items"]} AS i {where(conditions)} LIMIT {_FEW + 1}
            ),
            few AS MATERIALIZED (SELECT count(*) <= {_FEW} AS yes FROM passing),
            tuned AS MATERIALIZED (SELECT concat({tuned}) AS told),
            near AS MATERIALIZED (
                SELECT e.* FROM few, LATERAL (
                    SELECT e.ns, e.key, e.data FROM passing, LATERAL (
                        SELECT * FROM {queries["embeddings"]} AS e
                        WHERE e.ns = passing.ns AND e.key = passing.key OFFSET 0
                    ) AS e
                    WHERE few.yes AND e.{self.column} IS NOT NULL
                    ORDER BY {self._sortable(query)} LIMIT {int(count)}
                ) AS e
                UNION ALL
                SELECT e.* FROM few, tuned, LATERAL (
                    SELECT e.ns, e.key, e.data FROM {queries["embeddings"]} AS e
                    WHERE NOT few.yes AND tuned.told IS NOT NULL
                        AND e.{self.column} IS NOT NULL {passes}
                    ORDER BY {self.distance(query)} LIMIT {int(count)}
                ) AS e
            )
            SELECT few.yes, {queries["columns"]}, near.data FROM few LEFT JOIN (
                near CROSS JOIN LATERAL (
                    SELECT * FROM {queries["items"]} AS i
                    WHERE i.ns = near.ns AND i.key = near.key OFFSET 0
                ) AS i
            ) ON true
            UNION ALL {self._unconverted(queries, conditions)}
        """  # noqa: S608
        return sql, statement.values

    def _begun(self, search: Search) -> tuple[Statement, str]:
        statement = Statement()
        vector = "" if search.vector is None else text_of(search.vector)
        return statement, f"{statement.mark(vector, 'text')}::{self.type}"

    def _sortable(self, query: str) -> str:
        """The distance as an expression that no index is on, so that Postgres compares all. The
        cosine distance from a zero vector (NaN) is taken as 1.
        """
        return f"coalesce(nullif({self.distance(query)}, 'NaN'), 1)"

    @property
    def tuned(self) -> list[str]:
        """The settings that `near` changes for its transaction."""
        return [name for name, _ in self._tuning()]

    def _tuning(self) -> Iterator[tuple[str, str]]:
        settings = self.settings
        if settings.kind == "hnsw":
            yield "hnsw.iterative_scan", "strict_order"
            yield "hnsw.ef_search", str(min(settings.ef_search or _EF_SEARCH, 1000))
        else:
            yield "ivfflat.iterative_scan", "relaxed_order"
            yield "ivfflat.probes", str(settings.probes or _LEAST_PROBES)
