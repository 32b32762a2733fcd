"""The base class of all clauses: profiles, sync and async flavours, declared gaps."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from conformance_tests.contract.capabilities import DOES_NOT_APPLY, Capability, capability_of
from conformance_tests.contract.catalogue import Clause, clause_of
from conformance_tests.contract.gaps import gap_of
from conformance_tests.contract.verdicts import not_looked_at
from conformance_tests.contract.version import Profile, belongs_to
from conformance_tests.samples.driver_adapter import FLAVOURS, Flavour


class Clauses:
    """Base class of the mixins that define clauses.

    Attributes:
        contract: The first part of the clauses' ids: saver, graph, store or cache.
        profile: The profile that a test class runs.
        left_to_others: Mixins whose clauses a test class leaves out, because another test class of
            the backend runs them on the same code.
    """

    contract: ClassVar[str]
    profile: ClassVar[Profile] = "suite"
    left_to_others: ClassVar[tuple[type, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Reject mixins with clauses of the same name, which would hide each other; remove the
        clauses of other profiles.
        """
        super().__init_subclass__()
        named = [
            name for base in cls.__mro__[1:] for name in vars(base) if name.startswith("test_")
        ]
        if hidden := sorted({name for name in named if named.count(name) > 1}):
            raise TypeError(f"{cls.__name__}: two clauses of one name: {hidden}")
        if cls.__name__.startswith("Test"):  # pytest collects these classes
            left = {name for mixin in cls.left_to_others for name in vars(mixin)}
            for name in named:
                clause = clause_of(cls, name)
                if clause is not None and not (
                    name not in left and belongs_to(cls.profile, clause.id)
                ):
                    setattr(cls, name, None)

    @pytest.fixture
    def harness(self) -> Any:
        """The backend under test, empty. Each backend's test class overrides this fixture."""
        raise NotImplementedError("override the fixture `harness` in your test class")

    @pytest.fixture(params=FLAVOURS)
    def flavour(self, request: pytest.FixtureRequest) -> Flavour:
        """Run each clause in both flavours, sync and async."""
        chosen: Flavour = request.param
        return chosen

    @pytest.fixture(autouse=True)
    def declared_gap(self, request: pytest.FixtureRequest, harness: Any) -> None:
        """End a case that does not apply or cannot be looked at; expect declared gaps to fail."""
        capability = self.capability_under_test(request)
        if capability in harness.place.does_not_apply:
            reason = harness.place.does_not_apply[capability]
            pytest.xfail(f"{DOES_NOT_APPLY} {harness.place.value!r}: {reason}")
        unseen = harness.not_looked_at()
        if capability in unseen:
            not_looked_at(unseen[capability])
        clause = clause_of(request.cls, request.function.__name__)
        assert clause is not None, f"{request.node.name} is no clause"
        gap = gap_of(Clause(clause.id, capability, clause.statement), harness.gaps)
        if gap is not None:
            strict = self.gap_must_fail(request)
            request.applymarker(pytest.mark.xfail(reason=f"declared gap {gap}", strict=strict))

    def capability_under_test(self, request: pytest.FixtureRequest) -> Capability:
        """The capability that the running clause belongs to."""
        found = capability_of(request.function)
        assert found is not None, f"{request.node.name} belongs to no capability"
        return found

    def gap_must_fail(self, request: pytest.FixtureRequest) -> bool:  # noqa: ARG002
        """Whether the running clause must fail if its capability is a declared gap. Always true
        here; a subclass may override it.
        """
        return True
