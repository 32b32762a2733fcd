"""Parsing and validation of a store's `index=` and `ttl=` arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.embeddings import Embeddings
from langgraph.store.base import TTLConfig, ensure_embeddings

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.ttl.policy import DEFAULT_INTERVAL, minutes, switch
from store_vector.embedding.paths import WHOLE, Field, fields_of
from store_vector.filters.operators import is_number

DISTANCES: Final = ("cosine", "l2", "inner_product")
KINDS: Final = ("hnsw", "ivfflat", "flat")
VECTOR_TYPES: Final = ("vector", "halfvec")
ENGINES: Final = ("auto", "exact")
_TUNING: Final = ("m", "ef_construction", "lists", "ef_search", "probes")
_INDEX_KEYS: Final = frozenset(
    {"dims", "embed", "fields", "distance_type", "ann_index_config", "engine"}
    | {"ef_search", "probes", "text_fields", "filter_fields", "score_threshold"}
)
_ANN_KEYS: Final = frozenset({"kind", "vector_type", "nlist", *_TUNING})
_TTL_KEYS: Final = frozenset(
    {"refresh_on_read", "omit_expired", "default_ttl", "sweep_interval_minutes"}
)


@dataclass(frozen=True)
class IndexSettings:
    """LangGraph's `IndexConfig`, with what the official Postgres store adds to it.

    Attributes:
        dims: number of dimensions of a vector.
        embeddings: the embedding model.
        fields: paths of the texts that are embedded, unless a put passes `index`.
        distance: `"cosine"`, `"l2"` or `"inner_product"`.
        kind: the type of vector index, on backends with several: `"hnsw"`, `"ivfflat"` or
            `"flat"`.
        vector_type: `"vector"` (float32) or `"halfvec"`, on Postgres.
        engine: `"exact"` never uses an approximate index; `"auto"` lets the backend choose.
        m: HNSW: links of a node. None (here and below) is the backend's default.
        ef_construction: HNSW: size of the candidate list while the index is built.
        lists: IVFFlat: number of lists.
        ef_search: HNSW: size of the candidate list during a search.
        probes: IVFFlat: number of lists that a search reads.
        score_threshold: minimum score of a vector search's results; None: no minimum.
        given: `index=` as the caller passed it.
    """

    dims: int
    embeddings: Embeddings
    fields: tuple[Field, ...]
    distance: str = "cosine"
    kind: str = "hnsw"
    vector_type: str = "vector"
    engine: str = "auto"
    m: int | None = None
    ef_construction: int | None = None
    lists: int | None = None
    ef_search: int | None = None
    probes: int | None = None
    score_threshold: float | None = None
    given: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, index: Mapping[str, Any] | None) -> IndexSettings | None:
        """Parse `index=`; None means no vector search.

        Raises:
            InvalidArgumentError: a key is unknown, or a value is invalid.
        """
        if index is None:
            return None
        if not isinstance(index, Mapping):
            raise InvalidArgumentError(f"index: wanted a dict, got {index!r:.80}")
        _known("index", index, _INDEX_KEYS)
        ann = index.get("ann_index_config") or {}
        _known("index['ann_index_config']", ann, _ANN_KEYS)
        merged = {"lists": ann.get("nlist"), **ann}
        merged |= {name: index[name] for name in ("ef_search", "probes") if name in index}
        tuning = {name: _count(name, merged.get(name)) for name in _TUNING}
        dims = _count("dims", index.get("dims"))
        if dims is None:
            raise InvalidArgumentError("index['dims']: wanted the length of vectors, got None")
        return cls(
            dims=dims,
            embeddings=_embeddings(index.get("embed")),
            # LangGraph's SQLite store calls this key "text_fields"
            fields=_fields(index.get("fields", index.get("text_fields"))),
            distance=_choice("distance_type", index.get("distance_type", "cosine"), DISTANCES),
            kind=_choice("kind", ann.get("kind", "hnsw"), KINDS),
            vector_type=_choice("vector_type", ann.get("vector_type", "vector"), VECTOR_TYPES),
            engine=_choice("engine", index.get("engine", "auto"), ENGINES),
            **tuning,
            score_threshold=_score("score_threshold", index.get("score_threshold")),
            given=dict(index),
        )


@dataclass(frozen=True)
class StoreTTL:
    """LangGraph's `TTLConfig`.

    Attributes:
        refresh_on_read: whether `get` and `search` extend an item's expiry, where the call does
            not pass `refresh_ttl`.
        omit_expired: whether reads hide an expired item that the sweeper has not deleted yet.
        default_ttl: TTL in minutes of items put without `ttl`; None: they never expire.
        sweep_interval_minutes: minutes between two runs of the sweeper (`start_ttl_sweeper`).
    """

    refresh_on_read: bool = True
    omit_expired: bool = False
    default_ttl: float | None = None
    sweep_interval_minutes: float = DEFAULT_INTERVAL

    @classmethod
    def of(cls, ttl: TTLConfig | Mapping[str, Any] | StoreTTL | None) -> StoreTTL:
        """Parse `ttl=`.

        Raises:
            InvalidArgumentError: a key is unknown, or a number of minutes is invalid.
        """
        if ttl is None:
            return cls()
        if isinstance(ttl, StoreTTL):
            return ttl
        if not isinstance(ttl, Mapping):
            raise InvalidArgumentError(
                "ttl: wanted a dict such as {'default_ttl': 60} (minutes), with some of "
                f"{sorted(_TTL_KEYS)}, got {ttl!r:.80}"
            )
        _known("ttl", ttl, _TTL_KEYS)
        default, interval = ttl.get("default_ttl"), ttl.get("sweep_interval_minutes")
        return cls(
            refresh_on_read=switch(
                "ttl['refresh_on_read']", ttl.get("refresh_on_read"), default=True
            ),
            omit_expired=switch("ttl['omit_expired']", ttl.get("omit_expired"), default=False),
            default_ttl=None if default is None else minutes("ttl['default_ttl']", default),
            sweep_interval_minutes=DEFAULT_INTERVAL
            if interval is None
            else minutes("ttl['sweep_interval_minutes']", interval),
        )

    @property
    def config(self) -> TTLConfig:
        """The `ttl_config` that LangGraph's `BaseStore` reads."""
        return TTLConfig(
            refresh_on_read=self.refresh_on_read,
            omit_expired=self.omit_expired,
            default_ttl=self.default_ttl,
        )

    def is_absent(self, expires_at: float | None, now: float) -> bool:
        """Whether reads at `now` hide an item with this expiry. Both are epoch seconds."""
        return self.omit_expired and expires_at is not None and expires_at <= now

    def horizon(self, now: float) -> float | None:
        """Reads hide items that expire at or before this time (epoch seconds); None: no item."""
        return now if self.omit_expired else None


def _embeddings(embed: Any) -> Embeddings:
    if isinstance(embed, (Embeddings, str)) or callable(embed):
        return ensure_embeddings(embed)
    raise InvalidArgumentError(
        "index['embed']: wanted a function of a list of texts, LangChain's Embeddings, or a "
        f"provider's string such as 'openai:text-embedding-3-small', got {embed!r:.80}"
    )


def _fields(fields: Any) -> tuple[Field, ...]:
    if fields is None or isinstance(fields, str):
        fields = [fields or WHOLE]
    found = fields_of("index['fields']", fields)
    if not found:
        raise InvalidArgumentError(
            "index['fields']: wanted at least one path, got []; without 'fields' the whole value "
            "is embedded, without index= nothing is"
        )
    return found


def _known(name: str, given: Any, known: frozenset[str]) -> None:
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(f"{name}: wanted a dict, got {given!r:.80}")
    # LangGraph's own stores add keys that begin with __ to the caller's dict
    unknown = sorted(str(key) for key in set(given) - known if not str(key).startswith("__"))
    if unknown:
        raise InvalidArgumentError(f"{name}: unknown keys {unknown}, known are {sorted(known)}")


def _count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(f"index: wanted {name} to be a number from 1, got {value!r:.80}")
    return value


def _score(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not is_number(value) or math.isnan(value):
        raise InvalidArgumentError(f"index: wanted {name} to be a number, got {value!r:.80}")
    return float(value)


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InvalidArgumentError(f"index: wanted {name} to be one of {choices}, got {value!r}")
    return str(value)
