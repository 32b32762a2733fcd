"""Runs the tests on each supported Python version: `make test-pythons`.

The Makefile runs this before anything is installed, so it needs the standard library alone.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SUPPORTED: Final = sorted(
    (path.stem for path in (ROOT / "constraints").glob("3.*.txt")),
    key=lambda version: int(version.partition(".")[2]),
)
"""Supported versions such as `3.10`: those that have a constraints file, ascending."""


def _candidates(version: str) -> Iterator[Path]:
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True)
        versions = Path(root.stdout.strip()) / "versions"
        yield from sorted(versions.glob(f"{version}.*/bin/python"))


def find(version: str) -> Path | None:
    """An interpreter of a version (`3.12`) that can make virtual environments, or None.

    Each candidate is run to check its version, because pyenv also puts programs on the PATH for
    versions that are not activated.
    """
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    for path in _candidates(version):
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return path
    return None


def _run_tests(make: str, venv: str) -> int:
    """Run `make test-core` on each Python in turn; prints a summary line for each."""
    outcomes: dict[str, str] = {}
    for version in SUPPORTED:
        python = find(version)
        if python is None:
            outcomes[version] = "not found"
            continue
        command = [make, "test-core", f"PYTHON={python}", f"VENV={venv}-{version}"]
        print(f"== Python {version}: {python}", flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        outcomes[version] = f"failed ({make} ended with {code})" if code else "passed"
    for version, outcome in outcomes.items():
        print(f"Python {version:<5} {outcome}")
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    missing = sum(outcome == "not found" for outcome in outcomes.values())
    return 0 if passed and passed + missing == len(outcomes) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, and run the command.

    Returns:
        0, or 1 if a Python failed or none was found.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("find-oldest", help="print the path of the oldest supported Python")
    tester = commands.add_parser("test", help="run the tests on each supported Python")
    tester.add_argument("--make", default="make")
    tester.add_argument("--venv", default=".venv", help="the environments are VENV-3.12 and so on")
    given = parser.parse_args(arguments)
    if given.command == "test":
        return _run_tests(given.make, given.venv)
    path = find(SUPPORTED[0])
    if path is None:
        name = f"python{SUPPORTED[0]}"
        print(f"{name} is needed: on the PATH, or installed by pyenv", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
