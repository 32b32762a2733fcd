"""A test class with one clause, for a backend that this clause has to find fault with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance_tests.caches.conformance import CacheConformance
from conformance_tests.contract.catalogue import clause_of
from conformance_tests.savers.conformance import SaverConformance
from conformance_tests.stores.conformance import StoreConformance


@cache
def owners() -> dict[str, tuple[type, str]]:
    """By the id of a clause: the mixin that has it, and the name of its test."""
    return {
        clause.id: (base, name)
        for cls in (SaverConformance, StoreConformance, CacheConformance)
        for base in reversed(cls.__mro__)
        for name in vars(base)
        if name.startswith("test_") and (clause := clause_of(base, name)) is not None
    }


def owner_of(clause_id: str) -> tuple[type, str]:
    """The mixin that has a clause, and the name of its test."""
    return owners()[clause_id]


def class_with(clause_id: str, name: str, opens: Callable[[Path], Any]) -> type:
    """The class.

    Args:
        clause_id: The clause.
        name: What is wrong, in words; the class is named by them.
        opens: Makes a harness in an empty folder.
    """
    owner, method = owner_of(clause_id)

    @pytest.fixture
    def harness(self: Any, tmp_path: Path) -> Iterator[Any]:
        folder = tmp_path / "database"
        folder.mkdir()
        made = opens(folder)
        yield made
        made.close()

    others = {each: None for each in dir(owner) if each.startswith("test_") and each != method}
    return type(class_name(name), (owner,), {"harness": harness, **others})


def class_name(name: str) -> str:
    """E.g. `TestLosesWrites` for `loses writes`."""
    return "Test" + name.title().replace(" ", "")
