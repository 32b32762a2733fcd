"""The base class of harnesses of caches. A minimal harness:

    class MyCacheHarness(CacheHarness):
        name = "mine"

        def __init__(self, folder):
            self.folder = folder

        @contextmanager
        def open(self, **options):
            with MyCache(self.folder, **options) as cache:
                yield cache

This is enough for most clauses; the others are `not looked at`.
"""

from __future__ import annotations

import time

from conformance_tests.contract.verdicts import not_looked_at
from conformance_tests.harness import Harness


class CacheHarness(Harness):
    """An empty database, and all the ways in which clauses of caches access it. `open` takes the
    options `serde` and `max_bytes`, if the cache does.
    """

    def advance(self, seconds: float) -> None:
        """Let time pass. This default sleeps; override it if the cache's clock can be moved."""
        time.sleep(seconds)

    def damage(self) -> None:
        """Raw write: change one byte of every stored value."""
        not_looked_at("the harness has no `damage` to change what is stored")
