"""The clauses with their ids and statements, for reports, the command line and `--only`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from conformance_tests.contract.capabilities import capability_of
from conformance_tests.contract.version import Profile, current_id, profile_of, source_of


@dataclass(frozen=True)
class Clause:
    """One rule of the contract.

    Attributes:
        id: e.g. `saver.put.again_changes_nothing`.
        capability: the capability that it belongs to; gaps are declared by capability.
        statement: the rule and its reason: the docstring of the test method.
    """

    id: str
    capability: Enum
    statement: str

    @property
    def title(self) -> str:
        """The last part of the id, in words."""
        return self.id.rpartition(".")[2].replace("_", " ")

    @property
    def profile(self) -> Profile:
        """`langgraph` if that profile has the clause, else `suite`."""
        return profile_of(self.id)

    @property
    def source(self) -> str:
        """The source of the rule."""
        return source_of(self.id, self.capability)

    def chosen(self, only: Iterable[str]) -> bool:
        """Whether a name is the clause's capability, its id, or a dotted prefix of its id."""
        return any(
            name == self.capability.value or self.id == name or self.id.startswith(f"{name}.")
            for name in map(current_id, only)
        )


def contract_of(cls: object) -> str | None:
    """`saver`, `graph`, `store` or `cache` for a class of clauses; None for any other class."""
    found = getattr(cls, "contract", None)
    return found if isinstance(found, str) else None


def clause_of(cls: type, name: str) -> Clause | None:
    """The clause of the test method `name`, or None."""
    contract, method = contract_of(cls), getattr(cls, name, None)
    capability = capability_of(method)
    if contract is None or method is None or capability is None:
        return None
    rest, topic = name.removeprefix("test_"), str(capability.value).removeprefix(f"{contract}_")
    if not rest.startswith(f"{topic}_"):  # the topic is the name of the class, not the capability
        owner = method.__qualname__.split(".")[-2].removesuffix("Clauses")
        owner = owner.removeprefix(contract.title())
        topic = re.sub("(?<!^)(?=[A-Z])", "_", owner).lower()
    rest = rest.removeprefix(f"{topic}_")
    statement = " ".join((inspect.getdoc(method) or "").split())
    return Clause(f"{contract}.{topic}.{rest}", capability, statement)


def clauses_in(cls: type) -> list[Clause]:
    """All clauses of a test class, in the order of its mixins."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        names.update(dict.fromkeys(name for name in vars(base) if name.startswith("test_")))
    return [clause for name in names if (clause := clause_of(cls, name)) is not None]


def unknown(only: Sequence[str], clauses: Sequence[Clause]) -> list[str]:
    """The names that match no clause."""
    return [name for name in only if not any(clause.chosen([name]) for clause in clauses)]


def meaning(capability: Any) -> str:
    """The description of a capability, in one line."""
    return str(getattr(capability, "meaning", ""))
