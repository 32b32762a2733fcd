"""Clauses about a cache's TTL (in seconds) and size limit."""

from __future__ import annotations

from typing import Final

from conformance_tests.caches.base import AT, CacheClauses, CacheOpener
from conformance_tests.caches.facade import CacheFacade
from conformance_tests.caches.harness import CacheHarness
from conformance_tests.contract.capabilities import Capability, clauses_of

OTHER: Final = (("node",), "other")


@clauses_of(Capability.CACHE_TTL)
class CacheTTLClauses(CacheClauses):
    """Clauses about TTL. They let only seconds pass, since some harnesses have to sleep."""

    def test_ttl_has_passed(self, harness: CacheHarness, cache: CacheFacade) -> None:
        """After its TTL, a value is absent, whether it was removed or not."""
        cache.set({AT: ("short", 1), OTHER: ("long", 100)})
        assert cache.get([AT, OTHER]) == {AT: "short", OTHER: "long"}
        harness.advance(1.2)
        assert cache.get([AT, OTHER]) == {OTHER: "long"}

    def test_ttl_none_is_for_ever(self, harness: CacheHarness, cache: CacheFacade) -> None:
        """Without a TTL, a value never expires."""
        cache.put(AT, "kept", None)
        harness.advance(1.2)
        assert cache.has(AT, "kept")

    def test_ttl_is_that_of_the_last_set(self, harness: CacheHarness, cache: CacheFacade) -> None:
        """Setting a value again sets its TTL: longer, shorter or none."""
        cache.set({AT: (1, 1), OTHER: (1, 100)})
        cache.set({AT: (2, None), OTHER: (2, 1)})
        harness.advance(1.2)
        assert cache.get([AT, OTHER]) == {AT: 2}

    def test_ttl_zero_is_over_at_once(self, cache: CacheFacade) -> None:
        """A TTL of 0 expires at once, and removes an older value, too."""
        cache.put(AT, "before", None)
        cache.put(AT, "over", 0)
        assert cache.get([AT]) == {}

    def test_ttl_sweep_removes_what_has_expired(
        self, harness: CacheHarness, cache: CacheFacade
    ) -> None:
        """A sweep removes expired entries and no others, and returns their number."""
        cache.set({AT: (1, 1), OTHER: (1, 100), (("node",), "ever"): (1, None)})
        harness.advance(1.2)
        assert cache.call("sweep_ttl") == 1
        assert cache.call("sweep_ttl") == 0
        assert cache.call("stats")["entries"] == 2


@clauses_of(Capability.CACHE_SIZE)
class CacheSizeClauses(CacheClauses):
    """Clauses about `max_bytes`."""

    def test_size_the_oldest_go_first(self, harness: CacheHarness, reopened: CacheOpener) -> None:
        """If `max_bytes` is exceeded, entries that were set longest ago are removed first."""
        cache = reopened(max_bytes=5000)
        names = [(("node",), f"{n}") for n in range(5)]
        for n in (0, 1, 2, 0, 3, 4):
            harness.advance(0.01)
            cache.put(names[n], "x" * 1000)
        assert sorted(cache.get(names)) == [names[n] for n in (0, 2, 3, 4)]
        assert cache.call("stats")["bytes"] <= 5000

    def test_size_one_that_is_too_large_is_not_stored(self, reopened: CacheOpener) -> None:
        """A value larger than `max_bytes` is not stored, and an older value of the name is
        removed."""
        cache = reopened(max_bytes=5000)
        cache.set({AT: ("small", None), OTHER: ("small", None)})
        cache.put(AT, "x" * 6000)
        assert cache.get([AT, OTHER]) == {OTHER: "small"}
