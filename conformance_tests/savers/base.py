"""Fixtures of the clauses about savers. A backend's test class overrides `harness`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from conformance_tests.contract.clauses import Clauses
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.driver_adapter import Facade, Flavour, opened


class Opener(Protocol):
    """Opens another saver on the harness's database, until the clause ends."""

    def __call__(self, **options: Any) -> Facade:
        """A facade of the flavour under test; options are those of `SaverHarness.open`."""


class SaverClauses(Clauses):
    """Base class of the mixins, with the fixtures that open savers."""

    contract = "saver"

    @pytest.fixture
    def harness(self) -> SaverHarness:
        """The backend under test, empty. Each backend's test class overrides this fixture."""
        raise NotImplementedError("override the fixture `harness` in your test class")

    @pytest.fixture
    def reopened(self, harness: SaverHarness, flavour: Flavour) -> Iterator[Opener]:
        """A function that opens savers; they are closed after the clause."""
        with ExitStack() as stack:

            def open_again(**options: Any) -> Facade:
                return stack.enter_context(opened(harness, flavour, **options))

            yield open_again

    @pytest.fixture
    def saver(self, reopened: Opener) -> Facade:
        """The saver under test, without options."""
        return reopened()


def rows_if_seen(harness: SaverHarness) -> dict[str, int]:
    """The stored rows by kind; empty if the harness cannot count them."""
    return dict(harness.rows()) if harness.looks("rows") else {}


def row_count(harness: SaverHarness) -> int:
    """The number of stored rows of all kinds."""
    return sum(harness.rows().values())
