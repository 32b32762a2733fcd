"""Runs the clause of each planted bug. All of them must fail; run in a separate process."""

from __future__ import annotations

import atexit
import sys
import tempfile
from pathlib import Path

from conformance_tests.tests.mutants.one_clause import class_with
from examples.tests.foreign_bugs import BUGS, planted

_folder = tempfile.TemporaryDirectory(prefix="foreign-bugs-")
atexit.register(_folder.cleanup)
sys.path.insert(0, _folder.name)
for _number, _bug in enumerate(BUGS):
    _harness = planted(_bug, Path(_folder.name), f"planted_{_number}")
    _kind = "Saver" if _bug.caught_by.startswith("saver.") else "Store"
    _case = class_with(_bug.caught_by, _bug.name, getattr(_harness, _kind))
    globals()[_case.__name__] = _case
