"""Plans of the store, driven by answers that a test writes down."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from checkpoint_base.plan import Atomic, run
from checkpoint_mongo.connection.requests import Written
from checkpoint_mongo.store.documents import FOREVER
from checkpoint_mongo.store.planner import MongoStorePlanner
from store_vector.config import IndexSettings, StoreTTL
from store_vector.filters.operators import Filter
from store_vector.namespaces import encode
from store_vector.records import Search

NOW = 1_800_000_000.0
AT = encode(("users", "ann"))
BELOW = {"$gte": AT, "$lt": AT[:-1] + "\x02"}


def f32(*numbers: float) -> bytes:
    return np.array(numbers, "<f4").tobytes()


def settings(**more: Any) -> IndexSettings:
    found = IndexSettings.of({"dims": 3, "embed": lambda texts: [[0.0] * 3 for _ in texts], **more})
    assert found is not None
    return found


def planner(ttl: StoreTTL | None = None, index: IndexSettings | None = None) -> MongoStorePlanner:
    stamps = count(1)
    made = MongoStorePlanner(
        index,
        ttl or StoreTTL(),
        clock=lambda: NOW,
        new_stamp=lambda: next(stamps),
    )
    made.is_set_up = True  # or else the first plan would look
    return made


def search_for(vector: Any = None, limit: int = 10, offset: int = 0, **more: Any) -> Search:
    found = Search(AT, Filter.of(more.pop("filter", None)), limit, offset, refresh=False, **more)
    return found if vector is None else found.embedded(np.array(vector, np.float32))


def document(key: str, stamp: int, *numbers: float, **more: Any) -> dict[str, Any]:
    item = {"_id": f"{AT}\0{key}", "ns": AT, "value": "{}", "expires_at": FOREVER}
    times = {"created_at": NOW, "updated_at": NOW}
    return {**item, **times, "stamp": stamp, "vectors": [f32(*numbers)], **more}


WRITTEN = Written(frozenset(), 1, 0)


class Scripted:
    """Answers requests in turn, and keeps them."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.asked: list[Any] = []

    def __call__(self, request: Any) -> Any:
        self.asked.append(request)
        if isinstance(request, Atomic):
            return run(request.make(), self)
        return self.replies.pop(0)
