"""The baseline file: known failures, which do not fail a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance_tests.contract.verdicts import FAILED, KNOWN, PASSED
from conformance_tests.contract.version import CONTRACT_VERSION, current_id

if TYPE_CHECKING:
    from conformance_tests.report.report import Report


class BaselineError(Exception):
    """A file is not a baseline; the message is the reason, in one line."""


@dataclass(frozen=True)
class Baseline:
    """Known failures.

    Attributes:
        failing: Clause id -> its failing `cases`, and the author's `reason` and `link`, which are
            kept when the file is rewritten.
    """

    failing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline file.

        Raises:
            BaselineError: The file does not exist, or is not a baseline.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            failing = {current_id(name): dict(entry) for name, entry in told["failing"].items()}
            wrong = [
                name for name, entry in failing.items() if not isinstance(entry["cases"], list)
            ]
        except FileNotFoundError as error:
            raise BaselineError(f"--baseline {path}: no such file; see --write-baseline") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BaselineError(f"--baseline {path}: it is no baseline: {error!r}") from error
        if wrong:
            raise BaselineError(f"--baseline {path}: the cases of {wrong[0]} are no list")
        return cls(failing)

    def knows(self, clause: str, case: str) -> bool:
        """Whether this case of a clause is known to fail."""
        return case in self.failing.get(clause, {"cases": ()})["cases"]

    def why(self, clause: str) -> str:
        """The author's reason and link for a known failure."""
        entry = self.failing.get(clause, {})
        parts = (str(entry.get(name, "")) for name in ("reason", "link"))
        return " ".join(part for part in parts if part)

    def repaired(self, reports: Iterable[Report]) -> list[str]:
        """Clauses in the baseline all of whose cases pass now."""
        outcomes = {
            name: each.outcome for report in reports for name, each in report.results.items()
        }
        return [name for name in self.failing if outcomes.get(name) == PASSED]


def write_baseline(path: Path, reports: Iterable[Report]) -> None:
    """Write the failures of a run. Entries of clauses that did not run are kept."""
    before = Baseline.read(path).failing if path.exists() else {}
    failing = {name: dict(entry) for name, entry in before.items()}
    for report in reports:
        for name, result in report.results.items():
            cases = [case.name for case in result.cases if case.outcome in (FAILED, KNOWN)]
            if cases:
                old = failing.get(name, {})
                failing[name] = {"reason": "", "link": "", **old, "cases": sorted(cases)}
            elif result.cases:
                failing.pop(name, None)
    told = {"contract_version": CONTRACT_VERSION, "failing": dict(sorted(failing.items()))}
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
