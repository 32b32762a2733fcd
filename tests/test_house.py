"""Architecture tests: no import cycles, no imports between backends, unique class names."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BACKENDS = ("checkpoint_mongo", "checkpoint_postgres", "checkpoint_redis", "checkpoint_sqlite")
PACKAGES = ("checkpoint_base", *BACKENDS, "checkpoint_suite", "store_vector", "conformance_tests")
MOST_ENTRIES = 12
NO_ENTRIES = {"__init__.py", "__main__.py", "__pycache__", "py.typed", "tests"}


def modules(package: str) -> Iterator[Path]:
    """The modules of a package, without its tests."""
    for path in sorted((ROOT / package).rglob("*.py")):
        if "tests" not in path.relative_to(ROOT / package).parts[:-1]:
            yield path


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for package in PACKAGES for path in modules(package)}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """The modules of the project that the statements import."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name in FILES}


def test_no_module_imports_in_a_circle() -> None:
    graph = {name: imported(iter(tree.body)) - {name} for name, tree in TREES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


@pytest.mark.parametrize("package", PACKAGES)
def test_no_backend_knows_another(package: str) -> None:
    others = {*BACKENDS, "conformance_tests"} - {package}
    for name, tree in TREES.items():
        if name.split(".")[0] == package:
            known = {each.split(".")[0] for each in imported(ast.walk(tree))} & others
            assert not known, f"{name} imports {sorted(known)}"


def test_no_two_classes_have_one_name() -> None:
    places = defaultdict(list)
    for name, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith(("_", "Test")):
                places[node.name].append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_each_module_says_first_what_it_is_for() -> None:
    assert [name for name, tree in TREES.items() if not ast.get_docstring(tree)] == []


def test_no_folder_is_crowded() -> None:
    for package in PACKAGES:
        for folder in {path.parent for path in modules(package)}:
            entries = {
                path.name for path in folder.iterdir() if path.suffix or any(path.glob("*.*"))
            }
            entries -= NO_ENTRIES
            assert len(entries) <= MOST_ENTRIES, f"{folder.relative_to(ROOT)}: {sorted(entries)}"
