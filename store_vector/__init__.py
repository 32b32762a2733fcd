"""The core of the stores: batches, namespaces, filters, embeddings and exact search."""

from store_vector.config import IndexSettings, StoreTTL
from store_vector.options import StoreOptions
from store_vector.records import StoreStats
from store_vector.shell import AsyncStore, Store, SyncStore

__all__ = [
    "AsyncStore",
    "IndexSettings",
    "Store",
    "StoreOptions",
    "StoreStats",
    "StoreTTL",
    "SyncStore",
]
