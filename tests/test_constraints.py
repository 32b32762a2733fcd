"""Constraint files must list all requirements of pyproject.toml with versions, for each Python."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.pythons import SUPPORTED

# pytest installs tomli where the standard library lacks tomllib
toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = sorted((ROOT / "constraints").glob("*.txt"))
LINE = re.compile(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)")


def pins(path: Path) -> dict[str, Version]:
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    found = [match for line in lines if (match := LINE.fullmatch(line))]
    assert len(found) == len(lines), f"{path.name}: only name==version"
    return {match[1]: Version(match[2]) for match in found}


def required_by_the_package() -> Iterator[Requirement]:
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        if not line.startswith(project["name"]):
            yield Requirement(line)


def required_by_a_clone() -> Iterator[Requirement]:
    for line in PROJECT["build-system"]["requires"]:
        yield Requirement(line)
    for group in PROJECT["dependency-groups"].values():
        yield from (Requirement(line) for line in group if isinstance(line, str))


@pytest.mark.parametrize("version", SUPPORTED)
def test_all_that_is_asked_for_is_pinned(version: str) -> None:
    found = pins(ROOT / "constraints" / f"{version}.txt")
    for wanted in [*required_by_the_package(), *required_by_a_clone(), Requirement("pip")]:
        if wanted.marker is None or wanted.marker.evaluate({"python_version": version}):
            pinned = found.get(canonicalize_name(wanted.name))
            assert pinned is not None, f"{wanted} is not pinned: make lock"
            assert wanted.specifier.contains(pinned, prereleases=True), f"{wanted}: make lock"


def test_the_lowest_versions_are_the_bounds_of_the_package() -> None:
    found = pins(ROOT / "constraints" / "lowest.txt")
    for wanted in required_by_the_package():
        bound = [Version(one.version) for one in wanted.specifier if one.operator == ">="]
        assert bound == [found[canonicalize_name(wanted.name)]], f"{wanted}: make lock"


def test_classifiers_name_the_pythons_that_have_a_file() -> None:
    head = "Programming Language :: Python :: 3."
    named = [line for line in PROJECT["project"]["classifiers"] if line.startswith(head)]
    assert [line.rpartition(" ")[2] for line in named] == SUPPORTED
    assert PROJECT["project"]["requires-python"] == f">={SUPPORTED[0]}"


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in FILES} == {*SUPPORTED, "lowest"}
