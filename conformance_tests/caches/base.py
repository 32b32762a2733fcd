"""Fixtures of the clauses about caches."""

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
"""A sample name of a value: (namespace, key)."""


class CacheOpener(Protocol):
    """Opens another cache on the harness's database, until the clause ends."""

    def __call__(self, **options: Any) -> CacheFacade:
        """A facade of the flavour under test; options are `serde` and `max_bytes`."""


class CacheClauses(Clauses):
    """Base class of the mixins, with the fixtures that open caches."""

    contract = "cache"

    @pytest.fixture
    def harness(self) -> CacheHarness:
        """The backend under test, empty. Each backend's test class overrides this fixture."""
        raise NotImplementedError("override the fixture `harness` in your test class")

    @pytest.fixture
    def reopened(self, harness: CacheHarness, flavour: Flavour) -> Iterator[CacheOpener]:
        """A function that opens caches; they are closed after the clause."""
        with ExitStack() as stack:

            def open_again(**options: Any) -> CacheFacade:
                return stack.enter_context(opened(harness, flavour, **options))

            yield open_again

    @pytest.fixture
    def cache(self, reopened: CacheOpener) -> CacheFacade:
        """The cache under test, without options."""
        return reopened()
