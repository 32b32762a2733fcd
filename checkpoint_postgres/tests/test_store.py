"""What only this backend's stores have: pgvector, its indexes, round trips, what is handed over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from langgraph.store.base import GetOp, PutOp
from psycopg_pool import ConnectionPool

from checkpoint_base import aopen_store, open_store
from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError, NotSetUpError
from checkpoint_base.plan import InCallersTransaction
from checkpoint_postgres import AsyncPostgresStore, PostgresSaver, PostgresStore
from checkpoint_postgres.store import vector_search as store_meaning
from checkpoint_postgres.store.planner import PostgresStorePlanner
from checkpoint_postgres.tests.harness import PostgresHarness
from store_vector.config import IndexSettings
from store_vector.vectors.ranking import precise

DIMS, COUNT = 16, 6000
AT = ("docs",)


def vectors(count: int = COUNT) -> Any:
    """Some clouds of points."""
    random = np.random.default_rng(7)
    centres = random.standard_normal((40, DIMS))
    found = centres[random.integers(0, 40, count)] + 0.5 * random.standard_normal((count, DIMS))
    return found.astype(np.float32)


DOCS = vectors()
QUERIES = vectors(30)[::-1]


def embed(texts: Any) -> list[list[float]]:
    """`doc 5` and `query 5` are rows."""
    return [
        (DOCS if kind == "doc" else QUERIES)[int(number)].tolist()
        for kind, number in (text.split() for text in texts)
    ]


def index(kind: str, **more: Any) -> dict[str, Any]:
    ann = {"kind": kind, "vector_type": more.pop("vector_type", "vector")}
    return {"dims": DIMS, "embed": embed, "fields": ["text"], "ann_index_config": ann, **more}


def load(store: PostgresStore, count: int = COUNT) -> None:
    for start in range(0, count, 500):
        store.batch(
            [
                PutOp(AT, f"{n}", {"text": f"doc {n}", "cent": n % 100, "n": n})
                for n in range(start, start + 500)
            ]
        )


def recall(store: PostgresStore, distance: str, **options: Any) -> float:
    """Of the best ten, how many are found; exactly ten or all that match must come back."""
    cent = options.get("filter", {}).get("cent")
    there = np.arange(COUNT) if cent is None else np.arange(cent, COUNT, 100)
    hits = 0
    for n, query in enumerate(QUERIES):
        scores = precise(DOCS[there], query, distance)
        best = {f"{there[at]}" for at in np.argsort(-scores)[:10]}
        found = store.search(AT, query=f"query {n}", limit=10, **options)
        assert len(found) == 10
        hits += len(best & {one.key for one in found})
    return hits / (10 * len(QUERIES))


@pytest.mark.parametrize("kind", ["hnsw", "ivfflat"])
@pytest.mark.parametrize("distance", ["cosine", "l2", "inner_product"])
@pytest.mark.parametrize("vector_type", ["vector", "halfvec"])
def test_the_index_is_built_used_and_fills_pages(
    database: PostgresHarness, kind: str, distance: str, vector_type: str
) -> None:
    options = index(kind, distance_type=distance, vector_type=vector_type)
    with PostgresStore.from_conn_string(database.url, index=options) as store:
        store.setup()
        load(store)
        name = f"store_{vector_type}_{DIMS}_{distance}_{kind}"
        assert recall(store, distance) == 1.0  # there is no index yet
        store.setup()
        assert recall(store, distance) >= 0.95
        assert recall(store, distance, filter={"cent": 7}) == 1.0  # few match: all are compared
        assert recall(store, distance, filter={"n": {"$gte": 0}}) >= 0.95
        assert len(store.search(AT, query="query 1", filter={"cent": 7}, limit=100)) == 60
        assert len(store.search(AT, query="query 1", limit=COUNT + 1)) == COUNT
        assert isinstance(store.conn, psycopg.Connection)
        store.conn.execute("SELECT pg_stat_force_next_flush()")  # else whenever the process ends
    used = f"SELECT idx_scan > 30 FROM pg_stat_user_indexes WHERE indexrelname = '{name}'"
    assert database.query(used) == [(True,)]


def test_pages_of_an_index_neither_repeat_nor_lose(database: PostgresHarness) -> None:
    with PostgresStore.from_conn_string(database.url, index=index("hnsw")) as store:
        store.setup()
        load(store)
        store.setup()
        whole = [one.key for one in store.search(AT, query="query 3", limit=60)]
        pages: list[str] = []
        for offset in range(0, 60, 7):
            pages += [one.key for one in store.search(AT, query="query 3", limit=7, offset=offset)]
        assert pages[:60] == whole
        assert len(set(whole)) == 60


@pytest.mark.parametrize("kind", ["hnsw", "flat", "exact"])
def test_equals_are_ordered_by_name_however_many(database: PostgresHarness, kind: str) -> None:
    """More of them than are asked for at first, the last ones put first."""
    options = index("flat" if kind == "exact" else kind)
    if kind == "exact":
        options["engine"] = "exact"
    with PostgresStore.from_conn_string(database.url, index=options, indexed_from=0) as store:
        store.setup()
        for start in range(2700, -1, -300):
            keys = [f"{n:04}" for n in range(start, start + 300)]
            store.batch([PutOp(AT, key, {"text": "doc 1"}) for key in reversed(keys)])
        for offset in (0, 3, 40):
            found = store.search(AT, query="query 1", limit=3, offset=offset)
            assert [one.key for one in found] == [f"{n:04}" for n in range(offset, offset + 3)]


def test_what_was_put_before_pgvector_is_found(database: PostgresHarness) -> None:
    with PostgresStore.from_conn_string(
        database.url, index={**index("flat"), "engine": "exact"}
    ) as store:
        store.setup()
        load(store, 1500)
        before = [(one.key, one.score) for one in store.search(AT, query="query 0")]
    with PostgresStore.from_conn_string(database.url, index=index("flat")) as store:
        store.setup()
        found = [(one.key, one.score) for one in store.search(AT, query="query 0")]
        assert [key for key, _ in found] == [key for key, _ in before]
        assert [score for _, score in found] == pytest.approx([score for _, score in before])
    converted = "SELECT count(vector_16) FROM store_embeddings"
    assert database.query(converted) == [(1500,)]


def test_a_store_that_was_not_set_up_here_finds_the_engine(database: PostgresHarness) -> None:
    with (
        PostgresStore.from_conn_string(database.url, index=index("flat")) as one,
        PostgresStore.from_conn_string(database.url, index=index("flat")) as other,
    ):
        one.setup()
        other.put(AT, "a", {"text": "doc 1"})
        assert [found.key for found in one.search(AT, query="query 1")] == ["a"]
        assert database.query("SELECT vector_16 IS NOT NULL FROM store_embeddings") == [(True,)]


def test_exact_search_takes_a_page_at_a_time(
    database: PostgresHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_meaning, "_PAGE_BYTES", 4 * DIMS * 130)
    options = {**index("flat"), "engine": "exact"}
    with PostgresStore.from_conn_string(database.url, index=options) as store:
        store.setup()
        texts = [f"doc {n}" for n in range(60)]
        store.batch(
            [PutOp(AT, f"{n}", {"list": texts[n : n + 17]}, ["list[*]"]) for n in range(40)]
        )
        found = store.search(AT, query="query 2", limit=25)
        scores = precise(DOCS[:60], QUERIES[2], "cosine")
        best = sorted((-float(scores[n : n + 17].max()), f"{n}") for n in range(40))
        assert [one.key for one in found] == [key for _, key in best[:25]]
        assert [one.score for one in found] == pytest.approx([-score for score, _ in best[:25]])
        pages = [store.search(AT, query="query 2", limit=5, offset=at) for at in range(0, 25, 5)]
        assert [one.key for page in pages for one in page] == [one.key for one in found]


def test_without_pgvector_it_says_so_once(
    database: PostgresHarness, caplog: pytest.LogCaptureFixture
) -> None:
    role = database.url.rpartition("/")[2]
    with psycopg.connect(database.url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN; CREATE SCHEMA own AUTHORIZATION {role}".encode())
    url = database.url.replace("//postgres@", f"//{role}@")
    with (
        caplog.at_level(logging.WARNING),
        PostgresStore.from_conn_string(url, schema="own", index=index("hnsw")) as store,
    ):
        store.setup()
        for n in range(5):
            store.put(AT, f"{n}", {"text": f"doc {n}"})
            assert len(store.search(AT, query="query 1")) == n + 1
    assert [one.message.partition(":")[0] for one in caplog.records] == ["pgvector is not there"]
    with psycopg.connect(database.url, autocommit=True) as admin:
        admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


# ---------------------------------------------------------------- round trips


class Counting:
    """Counts what a store asks its driver for."""

    def __init__(self, store: PostgresStore) -> None:
        self.counts: Counter[str] = Counter()
        driver: Any = store._driver
        perform = driver.perform

        def counting(request: Any) -> Any:
            if not isinstance(request, InCallersTransaction):  # which sends nothing
                self.counts[type(request).__name__] += 1
            return perform(request)

        driver.perform = counting

    def of(self, call: Any) -> dict[str, int]:
        self.counts.clear()
        call()
        return dict(self.counts)


@pytest.fixture
def store(database: PostgresHarness) -> Iterator[PostgresStore]:
    with PostgresStore.from_conn_string(database.url) as one:
        one.setup()
        yield one


def test_operations_are_one_statement(store: PostgresStore) -> None:
    counting = Counting(store)
    puts = [PutOp(("a", f"{n % 7}"), f"{n}", {"n": n, "kind": "k"}) for n in range(200)]
    assert counting.of(lambda: store.batch(puts)) == {"ConditionalWrite": 1}
    assert counting.of(lambda: store.delete(("a", "0"), "0")) == {"ConditionalWrite": 1}
    gets = [GetOp(("a", f"{n % 7}"), f"{n}") for n in range(0, 200, 3)]
    one = {"Query": 1}
    assert counting.of(lambda: store.batch(gets)) == one
    assert counting.of(lambda: store.get(("a", "1"), "1")) == one
    for at in (("a",), ("a", "1"), ("none",), ()):
        assert counting.of(lambda at=at: store.search(at)) == one
        assert counting.of(lambda at=at: store.search(at, filter={"kind": "k"})) == one
        assert counting.of(lambda at=at: store.search(at, filter={"n": {"$gt": 5}}, limit=3)) == one
        assert counting.of(lambda at=at: store.list_namespaces(prefix=at or None)) == one
    assert counting.of(store.sweep_ttl) == {"ConditionalWrite": 1}


def test_a_namespace_that_was_large(store: PostgresStore) -> None:
    """It is remembered, so that its items need not be counted; what is found is right without."""
    counting = Counting(store)
    found: list[str] = []

    def search() -> None:
        found[:] = [one.key for one in store.search(("a",), filter={"kind": "k"}, limit=4)]

    def put(ns: str, count: int) -> None:
        for start in range(0, count, 500):
            numbers = range(start, min(start + 500, count))
            store.batch([PutOp((ns,), f"{n:04}", {"n": n, "kind": "k"}) for n in numbers])

    put("a", 300)
    for _ in range(2):
        assert counting.of(search) == {"Query": 1}
        assert found == ["0000", "0001", "0002", "0003"]
    put("b", 2100)  # what is newest of all is there now
    assert counting.of(search) == {"Query": 2}
    assert found == ["0000", "0001", "0002", "0003"]
    store.batch([PutOp(("a",), f"{n:04}", None) for n in range(300) if n not in (7, 9)])
    for _ in range(3):
        search()
        assert found == ["0007", "0009"]
    assert counting.of(search) == {"Query": 1}


def test_a_read_that_moves_an_expiry_a_little_is_one_statement(
    database: PostgresHarness,
) -> None:
    now = time.time()
    with PostgresStore.from_conn_string(database.url, clock=lambda: now) as store:
        store.setup()
        counting = Counting(store)
        reads: list[Callable[[], object]] = [lambda: store.get(AT, "a"), lambda: store.search(AT)]
        store.batch([PutOp(AT, "a", {"n": 1}, ttl=10), PutOp(AT, "b", {"n": 1}, ttl=1000)])
        for read in reads:
            now += 11
            assert counting.of(read) == {"Query": 1}
            now += 2
            assert counting.of(read) == {"Query": 1, "Execute": 1}
            assert counting.of(read) == {"Query": 1}


def test_a_search_by_meaning_is_one_statement(database: PostgresHarness) -> None:
    for kind in ("hnsw", "flat"):
        with PostgresStore.from_conn_string(
            database.url, index=index(kind), indexed_from=0, schema=kind
        ) as store:
            store.setup()
            load(store, 1000)
            counting = Counting(store)
            for wanted in (None, {"cent": 7}):
                search = lambda wanted=wanted: store.search(AT, query="query 1", filter=wanted)  # noqa: E731
                assert counting.of(search) == {"Query": 1}


# ---------------------------------------------------------------- what is handed over, schemas


def test_beside_a_saver_in_an_odd_schema(database: PostgresHarness) -> None:
    schema = 'We\'re "odd" {schema} {column} $1'
    with ConnectionPool(database.url, min_size=1, open=True) as pool:
        saver, store = (
            PostgresSaver(pool, schema=schema),
            PostgresStore(pool, schema=schema, index=index("hnsw"), indexed_from=0),
        )
        for one in (saver, store, saver, store):
            one.setup()
        store.put(AT, "a", {"text": "doc 1"}, ttl=0.0001)
        assert [one.key for one in store.search(AT, query="query 1")] == ["a"]
        assert store.stats().vectors == 1
        store.delete(AT, "a")
        assert store.stats().vectors == 0
    assert database.query("SELECT to_regclass('public.store_items')") == [(None,)]


def test_stores_by_url(database: PostgresHarness) -> None:
    with open_store(database.url, index=index("hnsw")) as store:
        assert isinstance(store, PostgresStore)
        store.put(AT, "a", {"text": "doc 1"})

    async def main() -> None:
        async with aopen_store(database.url, index=index("hnsw")) as store:
            assert isinstance(store, AsyncPostgresStore)
            assert len(await store.asearch(AT, query="query 1")) == 1

    asyncio.run(main())


def test_what_cannot_be_used(database: PostgresHarness) -> None:
    with pytest.raises(
        InvalidArgumentError, match="ConnectionPool, got str; for a URL there is from_conn"
    ):
        PostgresStore("postgresql://…")  # type: ignore[arg-type]
    with (
        PostgresStore.from_conn_string(database.url) as store,
        pytest.raises(NotSetUpError, match=r"setup\(\)"),
    ):
        store.get(AT, "a")
    refused = PostgresStore.from_conn_string("postgresql://127.0.0.1:1/x", pipeline=True)
    with pytest.raises(BackendUnavailableError), refused:
        pass


def test_dimensions_beyond_an_index_are_compared() -> None:
    planner = PostgresStorePlanner(IndexSettings.of({"dims": 5000, "embed": embed}), _no_ttl())
    engine = planner._engine_of(IndexSettings.of({"dims": 5000, "embed": embed}), "0.8.0", "public")  # type: ignore[arg-type]
    assert engine is not None
    assert not engine.is_approximate


def _no_ttl() -> Any:
    from store_vector.config import StoreTTL

    return StoreTTL()
