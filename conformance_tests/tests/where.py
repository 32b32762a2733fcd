"""Which test classes of this project run which clauses."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Final

from conformance_tests.contract.catalogue import clause_of
from conformance_tests.contract.clauses import Clauses

MODULES: Final = (
    *("checkpoint_base.tests.test_conformance", "checkpoint_base.tests.test_graphs"),
    *(
        f"checkpoint_{backend}.tests.test_{suite}"
        for backend in ("sqlite", "postgres", "redis", "mongo")
        for suite in ("conformance", "graphs", "store_conformance")
    ),
    *("checkpoint_postgres.tests.test_pooler", "checkpoint_mongo.tests.test_standalone"),
    "examples.tests.test_file_backend",
    "conformance_tests.tests.test_in_memory",
)


def backend_classes() -> Iterator[tuple[str, type[Clauses]]]:
    """With the package that each belongs to."""
    for name in MODULES:
        for cls in vars(importlib.import_module(name)).values():
            if not (isinstance(cls, type) and issubclass(cls, Clauses)):
                continue
            if cls.__module__ == name and cls.__name__.startswith("Test"):
                yield name.partition(".")[0], cls


def clauses_run_by(cls: type) -> set[str]:
    """Their ids."""
    found = (clause_of(cls, name) for name in dir(cls) if name.startswith("test_"))
    return {clause.id for clause in found if clause is not None}


def capabilities_left_by(cls: type[Clauses]) -> list[str]:
    """What another class of the same package runs, in the order of the class."""
    found = (
        clause_of(mixin, name)
        for mixin in cls.left_to_others
        for name in vars(mixin)
        if name.startswith("test_")
    )
    return list(dict.fromkeys(str(one.capability.value) for one in found if one is not None))
