"""The fixtures that all clauses of caches share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, Protocol

import pytest

from conformance_tests.caches.facade import CacheFacade, opened
from conformance_tests.caches.harness import CacheHarness
from conformance_tests.contract.clauses import Clauses
from conformance_tests.samples.driver_adapter import Flavour

AT: Final = (("node",), "key")
"""A value's name: namespace and key."""


class CacheOpener(Protocol):
    """Opens the harness's cache once more, on the same database, until the clause ends."""

    def __call__(self, **options: Any) -> CacheFacade:
        """A facade of the flavour under test; options are `serde` and `max_bytes`."""


class CacheClauses(Clauses):
    """Base of all mixins: how a clause gets its cache."""

    contract = "cache"

    @pytest.fixture
    def harness(self) -> CacheHarness:
        """The backend under test, empty. Each backend's test class overrides this fixture."""
        raise NotImplementedError("override the fixture `harness` in your test class")

    @pytest.fixture
    def reopened(self, harness: CacheHarness, flavour: Flavour) -> Iterator[CacheOpener]:
        """Opens caches; all of them are closed after the clause."""
        with ExitStack() as stack:

            def open_again(**options: Any) -> CacheFacade:
                return stack.enter_context(opened(harness, flavour, **options))

            yield open_again

    @pytest.fixture
    def cache(self, reopened: CacheOpener) -> CacheFacade:
        """The cache under test, without options."""
        return reopened()
