"""What the author of a store writes: how to open it, and how to look at it behind its back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from conformance_tests.harness import Harness


class StoreHarness(Harness):
    """One empty database, and every way in which the clauses touch it. `rows` counts `items` and
    `vectors`.

    Attributes:
        engine: What the engine under test adds to the index's configuration, e.g.
            `{"ann_index_config": {"kind": "hnsw"}}`.
    """

    engine: Mapping[str, Any] = MappingProxyType({})

    def end_what_is_left(self) -> None:
        """End now what a client that was killed has left open, if the database would only do so
        after a while: transactions, locks.
        """
