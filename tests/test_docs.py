"""Tests of the documentation: its Python code runs, its links and lists are correct.

The code blocks of a page run in order, in one namespace.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import checkpoint_mongo
import checkpoint_postgres
import checkpoint_redis
import checkpoint_sqlite
from checkpoint_base.saver.ttl.policy import _KEYS as TTL_KEYS
from conformance_tests.command.run import offered
from conformance_tests.contract.catalogue import unknown
from conformance_tests.report.levels import LEVELS
from store_vector.config import _INDEX_KEYS as INDEX_KEYS
from store_vector.config import _TTL_KEYS as STORE_TTL_KEYS
from tests.parameters import parameters_of

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# server URL in the documentation -> the fixture whose URL replaces it
SERVERS = {
    "postgresql://agent@db.example/agent": "postgres_server",
    "redis://db.example:6379/0": "redis_url",
    "mongodb://db.example": "mongo_server",
}
# stands for the module with harnesses that a reader of the how-to has written
HARNESSES = """
from checkpoint_sqlite.tests.harness import SqliteHarness as MyHarness
from checkpoint_sqlite.tests.store_harness import SqliteStoreHarness as MyStoreHarness
"""
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_snippets_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "harness.py").write_text(HARNESSES)
    monkeypatch.syspath_prepend(tmp_path)
    text = path.read_text(encoding="utf-8")
    for url, fixture in SERVERS.items():
        if url in text:
            text = text.replace(url, request.getfixturevalue(fixture))
    namespace: dict[str, object] = {"__name__": "snippet"}
    for match in BLOCK.finditer(text):
        line = text[: match.start()].count("\n") + 1
        # pad with blank lines, so that tracebacks have the page's line numbers
        code = compile("\n" * line + match[1], str(path), "exec", dont_inherit=True)
        exec(code, namespace)


def test_clauses_that_the_readme_names_exist() -> None:
    named = re.findall(
        r"`((?:saver|store|graph|cache)\.[a-z_.]+)`", (ROOT / "README.md").read_text()
    )
    clauses = [clause for contract in LEVELS for clause in offered(contract)]
    assert len(named) >= 6
    assert unknown(named, clauses) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_target_of_make_is_documented() -> None:
    targets = re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = {t for t in targets if f"make {t}" not in contributing} - {"clean"}
    assert not missing


PROSE = [*FILES, ROOT / "CODE_STYLE.md", ROOT / "SECURITY.md"]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_that_are_named_exist(path: Path) -> None:
    named = re.findall(r"`((?:\w+/)+(?:[\w.]+)?)`", path.read_text(encoding="utf-8"))
    of_this_tree = [each for each in named if (ROOT / each.partition("/")[0]).is_dir()]
    assert [each for each in of_this_tree if not (ROOT / each).exists()] == []
    assert of_this_tree or path.name != "CONTRIBUTING.md"


def test_each_decision_has_a_number_of_its_own() -> None:
    names = [path.name for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))]
    assert [name[:4] for name in names] == [f"{n:04}" for n in range(1, len(names) + 1)]
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    assert LINK.findall(index.partition("|---|")[2]) == names


OPTIONS = ROOT / "docs" / "reference" / "options.md"
OPENED = [
    getattr(module, name)
    for module in (checkpoint_sqlite, checkpoint_postgres, checkpoint_redis, checkpoint_mongo)
    for name in module.__all__
    if hasattr(getattr(module, name), "from_conn_string")
]


def listed(heading: str) -> set[str]:
    """The names in the first column of the table under a heading of the options page."""
    section = OPTIONS.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    first = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`(\w+)`", "".join(first)))


@pytest.mark.parametrize("kind", OPENED, ids=lambda kind: str(kind.__name__))
def test_every_option_is_in_the_reference(kind: Any) -> None:
    taken: set[str] = set()
    for call in (kind.from_conn_string, kind):
        taken |= {one.name for one in parameters_of(call)}
    own = {"conn", "client", "reader", "reconnect"}  # connections that the caller passes
    (heading,) = [each for each in ("Saver", "Store", "Cache") if kind.__name__.endswith(each)]
    assert taken - own <= listed(f"{heading}s")


def test_every_key_of_a_setting_is_in_the_reference() -> None:
    assert listed("Savers") >= TTL_KEYS
    assert INDEX_KEYS - {"text_fields"} | STORE_TTL_KEYS <= listed("Stores")
