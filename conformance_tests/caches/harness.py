"""What the author of a cache writes: how to open it.

    class MyCacheHarness(CacheHarness):
        name = "mine"

        def __init__(self, folder):
            self.folder = folder

        @contextmanager
        def open(self, **options):
            with MyCache(self.folder, **options) as cache:
                yield cache

That is enough for most clauses; the others are `not looked at`.
"""

from __future__ import annotations

import time

from conformance_tests.contract.verdicts import not_looked_at
from conformance_tests.harness import Harness


class CacheHarness(Harness):
    """One empty database, and every way in which the clauses touch it. `open` takes the options
    `serde` and `max_bytes`, if the cache does.
    """

    def advance(self, seconds: float) -> None:
        """Let time pass: without a clock that can be moved, by waiting."""
        time.sleep(seconds)

    def damage(self) -> None:
        """Raw write: change one byte of what is stored of every value."""
        not_looked_at("the harness has no `damage` to change what is stored")
