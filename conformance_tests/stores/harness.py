"""The base class of harnesses of stores, by which the suite opens and inspects them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from conformance_tests.harness import Harness


class StoreHarness(Harness):
    """An empty database, and all the ways in which clauses of stores access it. `rows` counts
    `items` and `vectors`.

    Attributes:
        engine: Options of the vector engine under test, which are added to `index`, e.g.
            `{"ann_index_config": {"kind": "hnsw"}}`.
    """

    engine: Mapping[str, Any] = MappingProxyType({})

    def end_what_is_left(self) -> None:
        """End transactions and locks of a killed client at once, if the database would do so only
        after a timeout.
        """
