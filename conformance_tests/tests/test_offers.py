"""A backend is judged by what it offers, and looked at with what its harness has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance_tests.command.loading import look_at
from conformance_tests.command.main import main
from conformance_tests.contract.verdicts import GAP, NOT_LOOKED_AT, NOT_OFFERED, PASSED
from conformance_tests.harness import SaverHarness
from conformance_tests.tests.small import SmallHarness
from conformance_tests.tests.test_command import run

SMALL = "conformance_tests.tests.small"
FEW = ("saver.put.again_changes_nothing", "saver.list.before", "saver.list.newest_first")
OPTIONAL = ("prune", "copy_thread", "delete_for_runs", "delete_thread")


def judged(
    harness: str, folder: Path, *arguments: str, expected: int = 0
) -> dict[str, dict[str, Any]]:
    """The clauses of a run by id."""
    path = folder / "report.json"
    code = main(["run", f"{SMALL}:{harness}", "--json", str(path), *arguments])
    told = json.loads(path.read_text())
    (contract,) = told["contracts"]
    assert code == expected, contract["verdict"]
    return {clause["id"]: clause for clause in contract["clauses"]} | {"": contract}


def only(*names: str) -> list[str]:
    return [part for name in names for part in ("--only", name)]


def test_four_methods_and_a_harness_of_one_are_enough_for_a_verdict(tmp_path: Path) -> None:
    found = judged("SmallHarness", tmp_path, *only(*FEW, *OPTIONAL, "encryption"))
    contract = found.pop("")
    by_capability: dict[str, set[str]] = {}
    for clause in found.values():
        by_capability.setdefault(clause["capability"], set()).add(clause["outcome"])
    assert all(by_capability[name] == {NOT_OFFERED} for name in OPTIONAL)
    assert by_capability["encryption"] == {NOT_LOOKED_AT}
    assert {found[name]["outcome"] for name in FEW} == {PASSED}
    sync, other = found["saver.list.before"]["cases"][0], found["saver.list.before"]["cases"][-1]
    assert (sync["outcome"], other["outcome"]) == (PASSED, NOT_OFFERED)
    assert "does not override `aget_tuple`" in other["message"]
    assert contract["profile"] == "langgraph"


def test_a_method_that_says_that_it_is_none_is_not_offered(tmp_path: Path) -> None:
    found = judged("RefusingHarness", tmp_path, *only("saver.prune.nothing_to_prune"))
    case = found["saver.prune.nothing_to_prune"]["cases"][0]
    assert case["outcome"] == NOT_OFFERED
    assert "raises NotImplementedError: keep_latest of []" in case["message"]


def test_a_store_without_an_index_is_judged_on_everything_else(tmp_path: Path) -> None:
    chosen = ("store.items", "store.filter", "store.graphs", "store.meaning")
    found = judged("SmallStoreHarness", tmp_path, *only(*chosen))
    del found[""]
    outcomes = {
        kind: {each["outcome"] for name, each in found.items() if name.startswith(kind)}
        for kind in chosen
    }
    assert outcomes["store.items"] == {PASSED, GAP}
    assert outcomes["store.filter"] == {PASSED}
    assert outcomes["store.meaning"] == {NOT_LOOKED_AT}
    assert found["store.graphs.put_and_get_in_a_node"]["outcome"] == PASSED


def test_what_opens_nothing_is_no_harness(tmp_path: Path) -> None:
    class Opens(SaverHarness):
        pass

    harness = Opens()
    assert harness.name == "Opens"
    with pytest.raises(TypeError, match="neither `open` nor `aopen`"):
        harness.check_opens()
    assert look_at(f"{SMALL}:SmallHarness", tmp_path).name == "SmallHarness"
    assert SmallHarness().looks("open")
    assert not SmallHarness().looks("rows")


def test_a_gap_of_a_clause_is_expected_and_one_that_is_mended_is_red(tmp_path: Path) -> None:
    found = judged(
        "ForgetfulHarness", tmp_path, *only("saver.list.before", "saver.list.newest_first")
    )
    assert found["saver.list.before"]["outcome"] == "gap"
    assert "https://example.org/issues/1" in found["saver.list.before"]["cases"][0]["message"]


def test_a_gap_that_holds_in_part_names_what_passes_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = only("saver.list.before", "saver.list.absent_thread")
    found = judged("WhollyForgetfulHarness", tmp_path, *chosen, expected=1)
    assert found[""]["gaps_that_hold_in_part"] == {
        "list": {"pass now": ["saver.list.absent_thread"], "still fail": ["saver.list.before"]}
    }
    assert "holds in part; these pass now: saver.list.absent_thread" in capsys.readouterr().out
    message = found["saver.list.absent_thread"]["cases"][0]["message"]
    assert "declare only what fails" in message


def test_a_baseline_makes_new_failures_red_and_keeps_old_ones_in_sight(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "known.json"
    limit, before = only("saver.list.before"), only("saver.list.newest_first")
    wrong = "UndeclaredHarness"
    judged(wrong, tmp_path, *limit, "--write-baseline", str(baseline), expected=1)
    kept = json.loads(baseline.read_text())
    assert kept["failing"]["saver.list.before"]["cases"] == ["sync"]
    kept["failing"]["saver.list.before"]["reason"] = "one is enough"
    baseline.write_text(json.dumps(kept))

    known = ("--baseline", str(baseline))
    assert judged(wrong, tmp_path, *limit, *known)["saver.list.before"]["outcome"] == "known"
    assert "known  saver.list.before one is enough" in capsys.readouterr().out
    found = judged(wrong, tmp_path, *limit, *before, *known, expected=1)
    assert found["saver.list.newest_first"]["outcome"] == "failed"

    found = judged("SmallHarness", tmp_path, *limit, *known)
    assert found[""]["repaired"] == ["saver.list.before"]
    assert "repaired: saver.list.before passes now" in capsys.readouterr().out
    judged(wrong, tmp_path, *limit, "--write-baseline", str(baseline), expected=1)
    assert "one is enough" in baseline.read_text()
    judged("SmallHarness", tmp_path, *limit, "--write-baseline", str(baseline))
    assert json.loads(baseline.read_text())["failing"] == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file"),
        ("{}", "no baseline"),
        ('{"failing": {"a": {"cases": "sync"}}}', "no list"),
    ],
)
def test_a_file_that_is_no_baseline_is_said_at_once(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "known.json"
    if text is not None:
        path.write_text(text)
    arguments = ["run", f"{SMALL}:SmallHarness", "--baseline", str(path)]
    assert main([*arguments, *only("saver.list.before")]) == 2
    assert said in capsys.readouterr().err


def test_plain_pytest_takes_a_baseline_too(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text(json.dumps({"failing": {"saver.list.before": {"cases": ["sync"]}}}))
    done = run(
        *("pytest", "-p", "conformance_tests.plugin", "--pyargs", "conformance_tests"),
        *("--saver", f"{SMALL}:UndeclaredHarness", "--only", "saver.list.before"),
        *("--baseline", str(path)),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 known" in done.stdout
