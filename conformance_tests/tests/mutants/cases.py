"""Each mutant under its clause: run in a process of its own, where all of them have to fail.

Not collected with the other tests (see `test_mutants.py`, which runs it and reads the outcome).
"""

from __future__ import annotations

from conformance_tests.tests.mutants.collected import all_mutants
from conformance_tests.tests.mutants.one_clause import class_with

for _mutant in all_mutants():
    _case = class_with(_mutant.caught_by, _mutant.name, _mutant.harness)
    globals()[_case.__name__] = _case
