"""`init`, as somebody does it who has a saver and a store: write, fill in, run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from conformance_tests.command.main import main
from conformance_tests.command.run import offered

DOCS = Path(__file__).parents[2] / "docs"
FILLED_IN = {
    "Saver": "from langgraph.checkpoint.memory import InMemorySaver\n"
    "        yield InMemorySaver(serde=serde)",
    "Store": "from langgraph.store.memory import InMemoryStore\n        yield InMemoryStore()",
}


def test_init_fill_in_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mypkg"]) == 0
    told = capsys.readouterr().out
    harness = tmp_path / "mypkg_conformance.py"
    text = harness.read_text()
    assert text.count("TODO") < 20
    assert not re.search("MYPKG|MODULE:", text)
    for name, opening in FILLED_IN.items():
        head, begin, rest = text.partition(f"class {name}(")
        rest = re.sub(r'(?s)# TODO.*?raise NotImplementedError\("fill.*?\)', opening, rest, count=1)
        rest = re.sub(r"(?s)    @asynccontextmanager.*?delete it\"\)\n", "", rest, count=1)
        text = head + begin + rest
    harness.write_text(text)
    command = told.splitlines()[-1].split()[2:]
    chosen = [offered(kind)[0].id for kind in ("saver", "store")]
    only = [part for clause in chosen for part in ("--only", clause)]
    assert main(["run", *command, *only, "--profile", "suite", "--json", "out/report.json"]) == 0
    assert (tmp_path / "report.html").exists()
    contracts = json.loads((tmp_path / "out" / "report.json").read_text())["contracts"]
    assert [each["harness"] for each in contracts] == ["mypkg saver", "mypkg store"]
    for contract in contracts:
        assert [clause["outcome"] for clause in contract["clauses"]] == ["passed"]


def test_the_workflow_runs_the_harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my.pkg"]) == 0
    text = (tmp_path / ".github/workflows/conformance.yml").read_text()
    assert "run my_pkg_conformance:Saver my_pkg_conformance:Store --jobs auto" in text
    assert "--badge conformance.svg" in text
    docs = (DOCS / "howto" / "conformance.md").read_text(encoding="utf-8")
    assert text.replace("my_pkg", "mypkg") in docs.replace("\n    ", "\n")


def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mypkg_conformance.py").write_text("mine")
    assert main(["init", "mypkg"]) == 2
    assert main(["init", "my-pkg"]) == 2
    taken, no_name = capsys.readouterr().err.splitlines()
    assert "is there already; nothing was written" in taken
    assert "'my-pkg' is no name to import" in no_name
    assert [path.name for path in tmp_path.iterdir()] == ["mypkg_conformance.py"]
