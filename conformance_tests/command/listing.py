"""Output of `--list` and `--explain`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from conformance_tests.command.run import offered
from conformance_tests.contract.catalogue import Clause, meaning
from conformance_tests.contract.version import CONTRACT_VERSION, PROFILES, Profile, current_id
from conformance_tests.report.levels import LEVELS
from conformance_tests.report.report import Report


def listed(reports: Iterable[Report], profile: Profile) -> Iterable[str]:
    """The lines of `--list`: each clause with its statement, grouped by capability."""
    for report in reports:
        every = offered(report.contract)
        yield f"{report.contract}, contract {CONTRACT_VERSION}: {_counts(every)}; listed: {profile}"
        for name, results in report.by_capability().items():
            some = [clause for clause in every if clause.capability.value == name]
            yield ""
            yield f"{name}: {meaning(some[0].capability)} ({_counts(some)})"
            for result in results:
                yield f"  {result.clause.id}"
                yield f"      {result.clause.statement}"
        yield ""


def _counts(clauses: Sequence[Clause]) -> str:
    """The number of clauses of each profile; `suite` includes those of `langgraph`."""
    of_langgraph = sum(clause.profile == "langgraph" for clause in clauses)
    counts = {"langgraph": of_langgraph, "suite": len(clauses)}
    return ", ".join(f"{counts[profile]} in {profile}" for profile in PROFILES)


def explained(name: str) -> Iterable[str]:
    """The lines of `--explain` for a clause.

    Raises:
        pytest.UsageError: There is no such clause.
    """
    every = {clause.id: clause for kind in LEVELS for clause in offered(kind)}
    clause = every.get(current_id(name))
    if clause is None:
        raise pytest.UsageError(f"--explain {name}: there is no such clause; see --list")
    profile = "" if clause.profile == "langgraph" else f" --profile {clause.profile}"
    yield clause.id
    yield f"  must hold:   {clause.title}. {clause.statement}"
    yield f"  capability:  {clause.capability.value}, to {meaning(clause.capability)}"
    yield f"  profile:     {clause.profile}"
    yield f"  source:      {clause.source}"
    yield f"  run it:      checkpoint-conformance run MODULE:NAME{profile} --only {clause.id}"
