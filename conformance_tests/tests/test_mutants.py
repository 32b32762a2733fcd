"""Every mutant is caught, and by the clause that names its fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance_tests.tests.mutants import failing
from conformance_tests.tests.mutants.collected import all_mutants

CASES = "conformance_tests/tests/mutants/cases.py"
MUTANTS = all_mutants()


def test_there_are_enough() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_the_clause_that_names_it_catches_it(tmp_path: Path) -> None:
    """One test for all: the run of the mutants is long, and is made once."""
    expected = [(mutant.name, mutant.caught_by) for mutant in MUTANTS]
    problems = failing.not_caught(CASES, expected, tmp_path)
    assert not problems, "\n".join(problems)


def test_one_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "HANGS_AFTER", 1)
    cases = tmp_path / "test_hanging.py"
    cases.write_text("import time\n\n\ndef test_sleeps():\n    time.sleep(3600)\n")
    with pytest.raises(AssertionError) as raised:
        failing.not_caught(str(cases), [], tmp_path)
    assert "test_hanging.py::test_sleeps" in str(raised.value)
    assert "line 5 in test_sleeps" in str(raised.value)
