"""The command line and the plugin, as somebody with a harness of their own uses them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from conformance_tests.command.main import main
from conformance_tests.harness import FaultHooks, Harness, SaverHarness

ROOT = Path(__file__).parents[2]
BROKEN = "conformance_tests.tests.broken"


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )


def conformance(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("conformance_tests", "run", "--profile", "suite", *arguments)


def outcomes(path: Path) -> dict[str, Any]:
    (found,) = json.loads(path.read_text())["contracts"]
    return {clause["id"]: clause for clause in found["clauses"]}


def test_a_failure_says_what_was_expected_what_was_got_and_how_it_came(tmp_path: Path) -> None:
    paths = {kind: tmp_path / f"report.{kind}" for kind in ("html", "json", "junit")}
    reports = [part for kind, path in paths.items() for part in (f"--{kind}", str(path))]
    done = conformance(f"{BROKEN}:in_a_folder", "--only", "stats", "--only", "sharing", *reports)
    assert done.returncode == 1, done.stdout + done.stderr
    found = outcomes(paths["json"])
    counts = found["saver.stats.counts_are_those_of_the_database"]
    assert counts["outcome"] == "failed"
    assert counts["statement"] == "As many as a look behind the saver's back finds."
    case = counts["cases"][0]
    assert case["name"] == "sync"
    for part in ("got:", "expected:", "differs:", "'checkpoints'"):
        assert part in case["message"]
    assert "stats(None)" in case["calls"]
    assert "put(config " in case["calls"]
    assert found["saver.stats.says_what_it_talks_to"]["outcome"] == "passed"
    assert found["saver.sharing.change_in_the_middle"]["outcome"] == "gap"
    for text in (done.stdout, paths["html"].read_text()):
        assert "saver.stats.counts_are_those_of_the_database" in text
        assert "does not conform: stats" in text
        assert "the reference keeps every value whole" in text
    suite = ET.parse(paths["junit"]).getroot()[0]
    assert int(suite.attrib["failures"]) == sum(
        case["outcome"] == "failed" for clause in found.values() for case in clause["cases"]
    )
    assert {"name": "clause", "value": counts["id"]} in [e.attrib for e in suite.iter("property")]


def test_a_declared_gap_that_works_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = conformance(f"{BROKEN}:HasMoreThanItSays", "--only", "allowlist", "--json", str(path))
    assert done.returncode == 1
    wrong = [case for clause in outcomes(path).values() for case in clause["cases"]]
    assert {case["outcome"] for case in wrong} == {"failed"}
    assert all("declared gap 'allowlist': nobody clones it" in case["message"] for case in wrong)


def test_what_does_not_apply_is_named_and_is_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    memory = "checkpoint_base.tests.harness:MemoryHarness"
    done = conformance(memory, "--only", "disk_full", "--only", "setup", "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = outcomes(path)
    assert found["saver.disk_full.is_an_error_and_nothing_half"]["outcome"] == "does not apply"
    assert found["saver.setup.any_number_of_times"]["outcome"] == "passed"
    assert "n/a     disk_full             0 of   2 clauses  nothing is on a disk" in done.stdout
    assert "the 3 chosen clauses hold" in done.stdout


def test_what_is_as_it_should_be_ends_with_zero_and_claims_no_more_than_it_saw() -> None:
    done = conformance("checkpoint_base.tests.harness:MemoryHarness", "--only", "setup")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the 3 chosen clauses hold; the others did not run" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which one?"),
        (["nix"], "wanted module:name"),
        (["no_such_module:x"], "no_such_module"),
        (["os:nix"], "nix"),
        (["os:sep"], "wanted a class or a function"),
        (["os:getcwd"], "wanted a SaverHarness"),
        (["os.path:join"], "more than one argument"),
        ([f"{BROKEN}:MissesMethods"], "MissesMethods"),
        ([f"{BROKEN}:raises"], "RuntimeError: no database"),
        ([f"{BROKEN}:raises_late"], "broken.py:"),
        (["conformance_tests.tests.broken_module:x"], "ZeroDivisionError"),
        ([f"{BROKEN}:CountsNothing"] * 2, "of each kind one can be given"),
        ([f"{BROKEN}:CountsNothing", "--html", "."], "it is a folder, wanted a file"),
        ([f"{BROKEN}:CountsNothing", "--only", "nix"], "no such capability or clause"),
    ],
)
def test_a_mistake_is_one_line_and_ends_with_two(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--profile", "suite", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1


def test_without_its_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pytest.py").write_text("raise ModuleNotFoundError('No', name='pytest')\n")
    done = run("conformance_tests", "run", "--list", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "checkpoint-conformance needs pytest: pip install 'langgraph-checkpoint-suite[conformance]'"
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--list"], 0), (["--profile", "suite", f"{BROKEN}:CountsNothing", "--only", "stats"], 1)],
)
def test_nobody_reads_to_the_end(arguments: list[str], expected: int, tmp_path: Path) -> None:
    """As in `… | head -1`."""
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "conformance_tests", "run", *arguments, "--json", str(path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == expected
    assert path.exists() == bool(expected)


def test_a_run_that_cannot_begin_ends_with_two() -> None:
    done = conformance(f"{BROKEN}:CountsNothing", "--only", "setup", "--jobs", "nix")
    assert done.returncode == 2, done.stdout + done.stderr


def test_the_docs_name_every_method_of_a_harness() -> None:
    text = (ROOT / "docs/howto/conformance.md").read_text(encoding="utf-8")
    needed, optional = (
        {
            name
            for cell in re.findall(r"^\| (`\w+\(.*?) \|", part, re.MULTILINE)
            for name in re.findall(r"`(\w+)\(", cell)
        }
        for part in text.split("\n## Faults\n")
    )
    own = {*_public(Harness), *_public(SaverHarness)}
    assert needed == own - {"looks", "takes", "check_options", "check_opens"}
    assert optional == _public(FaultHooks) - {"looks", "not_looked_at"}


def _public(cls: type) -> set[str]:
    """The methods that a class itself has for harnesses to override."""
    return {name for name in vars(cls) if callable(getattr(cls, name)) and name[0] != "_"}


def test_pytest_runs_the_same_clauses(tmp_path: Path) -> None:
    command = ("pytest", "-p", "conformance_tests.plugin", "--pyargs", "conformance_tests")
    named = ("--profile", "suite", "--saver", f"{BROKEN}:CountsNothing", "--only", "stats")
    done = run(*command, *named, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the calls that led there" in done.stdout
    assert "clause saver.stats.counts_are_those_of_the_database" in done.stdout
    nobody = run(*command, cwd=tmp_path)
    assert nobody.returncode == pytest.ExitCode.USAGE_ERROR
    assert "which one? --saver" in nobody.stderr


def test_test_ids_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Or pytest-xdist cannot share the work out."""
    command = ("pytest", "-p", "conformance_tests.plugin", "--pyargs", "conformance_tests")
    given = [part for kind in ("saver", "store") for part in (f"--{kind}", "nobody:opens_it")]
    suite = ("--profile", "suite")
    found = [
        run(*command, *given, "--collect-only", "-q", *suite, cwd=tmp_path).stdout.splitlines()[:-1]
        for _ in range(2)
    ]
    assert len(found[0]) > 1000
    assert found[0] == found[1]


def test_the_plugin_does_not_change_other_tests_beside_it(tmp_path: Path) -> None:
    """Their options, their asserts, and what they import stay as they are."""
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--store', action='store_true')\n"
    )
    (tmp_path / "test_theirs.py").write_text(
        "import sys\n"
        "class TestTheirs:\n"
        "    def test_option(self, request):\n"
        "        assert request.config.getoption('store') is True\n"
        "    def test_imports(self):\n"
        "        assert not {'langgraph', 'hypothesis', 'numpy'} & set(sys.modules)\n"
        "    def test_assert(self):\n"
        "        assert [1, 2] == [1, 3]\n"
    )
    plugins = ("conformance_tests.plugin", "no:langsmith_plugin", "no:hypothesispytest")
    chosen = [part for name in plugins for part in ("-p", name)]
    done = run("pytest", *chosen, "-W", "error", "--store", cwd=tmp_path)
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "assert [1, 2] == [1, 3]" in done.stdout
