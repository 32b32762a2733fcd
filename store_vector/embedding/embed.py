"""Calls of the embedding model, made before a connection is acquired."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from langgraph.store.base.embed import EmbeddingsLambda

from checkpoint_base.errors import InvalidArgumentError
from store_vector.config import IndexSettings
from store_vector.records import Array

FLOAT32: Final = np.dtype("<f4")
"""The format of stored vectors."""


@dataclass(frozen=True)
class Embedded:
    """Vectors by text: those of put values as stored bytes, those of queries as arrays."""

    texts: Mapping[str, bytes] = field(default_factory=dict)
    queries: Mapping[str, Array] = field(default_factory=dict)


NOTHING: Final = Embedded()
"""The vectors of a batch without texts."""


def embed(settings: IndexSettings, texts: Sequence[str], queries: Sequence[str]) -> Embedded:
    """Embed distinct texts and queries; blocks.

    Raises:
        InvalidArgumentError: the model does not return vectors of the index's dimensions.
        Exception: whatever the model raises.
    """
    model = settings.embeddings
    documents = model.embed_documents(list(texts)) if texts else []
    if type(model) is EmbeddingsLambda and queries:
        found = model.embed_documents(list(queries))  # one call of the user's function
    else:
        found = [model.embed_query(query) for query in queries]
    return _embedded(settings, texts, documents, queries, found)


async def aembed(settings: IndexSettings, texts: Sequence[str], queries: Sequence[str]) -> Embedded:
    """Async version of `embed`."""
    model = settings.embeddings
    documents = await model.aembed_documents(list(texts)) if texts else []
    if type(model) is EmbeddingsLambda and queries:
        found = await model.aembed_documents(list(queries))
    else:
        found = list(await asyncio.gather(*map(model.aembed_query, queries)))
    return _embedded(settings, texts, documents, queries, found)


def _embedded(
    settings: IndexSettings,
    texts: Sequence[str],
    documents: Any,
    queries: Sequence[str],
    found: Any,
) -> Embedded:
    rows = zip(texts, _vectors(settings.dims, documents, len(texts)), strict=True)
    asked = zip(queries, _vectors(settings.dims, found, len(queries)), strict=True)
    return Embedded({text: row.astype(FLOAT32).tobytes() for text, row in rows}, dict(asked))


def _vectors(dims: int, found: Any, wanted: int) -> Array:
    if not _is_list(found):
        raise InvalidArgumentError(
            f"index['embed']: wanted a list of {wanted} vectors, got {_told(found)}"
        )
    if len(found) != wanted:
        raise InvalidArgumentError(
            f"index['embed']: wanted {wanted} vectors for {wanted} texts, got {len(found)}"
        )
    for vector in found:
        if not _is_list(vector):
            raise InvalidArgumentError(
                f"index['embed']: wanted a list of {dims} numbers for each text, "
                f"got {_told(vector)}"
            )
        if len(vector) != dims:
            raise InvalidArgumentError(
                f"index['embed']: wanted vectors of {dims} dimensions (index['dims']), "
                f"got one of {len(vector)}"
            )
    try:
        rows = np.asarray(found, dtype=np.float32).reshape(wanted, dims)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"index['embed']: wanted numbers: {error}") from error
    if not np.isfinite(rows).all():
        raise InvalidArgumentError("index['embed']: wanted finite numbers, got NaN or infinity")
    return rows


def _is_list(found: Any) -> bool:
    """Whether it is a list, tuple or array. Strings have a length too, but do not count."""
    return hasattr(found, "__len__") and not isinstance(found, (str, bytes, Mapping))


def _told(found: Any) -> str:
    return f"{found!r:.80}, of type {type(found).__name__}"
