"""What a clause says is enough to mend a backend: what was got, and what was expected."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance_tests.plugin import RUNNING
from conformance_tests.report.failures import told, unreadable_answer
from conformance_tests.samples.build import on
from conformance_tests.samples.driver_adapter import FLAVOURS, Flavour, SyncFacade, opened
from conformance_tests.savers.reading.delta_history import DeltaHistoryClauses, history
from conformance_tests.tests.small import SmallSaver
from conformance_tests.tests.small_bugs import BUGS
from conformance_tests.tests.test_command import run
from conformance_tests.tests.test_in_memory import InMemorySaverHarness


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("==", "expected: 2"),
        ("is not", "expected: anything but 2"),
        ("not in", "expected: none of 2"),
        (">=", "expected: at least 2"),
    ],
)
def test_every_comparison_says_what_was_got_and_what_was_expected(op: str, expected: str) -> None:
    lines = told(op, None, 2)
    assert "got:      None" in lines
    assert expected in lines


def test_on_a_ci_server_long_lists_are_not_compared_line_by_line(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that ignores `offset` gave 2,997 items for 2,500: pytest took ten minutes."""
    monkeypatch.setenv("CI", "true")
    sides = {"left": list(range(200)), "right": list(range(100, 300))}
    pytestconfig.stash[RUNNING] = True
    try:
        ours, pytests = pytestconfig.hook.pytest_assertrepr_compare(
            config=pytestconfig, op="==", **sides
        )
    finally:
        pytestconfig.stash[RUNNING] = False
    assert "differs:  it[0]: expected 100, got 0" in ours
    assert len(pytests) < 20
    assert os.environ["CI"] == "true"


def test_a_clause_that_stumbles_over_an_answer_names_what_it_read() -> None:
    class GivesNothing(SmallSaver):
        def get_delta_channel_history(self, **_: object) -> dict[str, int]:  # type: ignore[override]
            return {"log": 1}

    with pytest.raises(TypeError) as raised:
        history(SyncFacade(GivesNothing()), {}, "log")
    message = unreadable_answer(raised.value)
    assert message is not None
    assert "got:      TypeError: 'int' object is not iterable" in message
    assert "expected: return {name: dict(entry)" in message
    assert "delta_history.py" in message


def test_an_error_of_the_backend_stays_as_it_is() -> None:
    with pytest.raises(KeyError) as raised:
        SmallSaver().get_tuple({})
    assert unreadable_answer(raised.value) is None


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_walk_without_an_end_is_ended_where_it_is(flavour: Flavour) -> None:
    """LangGraph's InMemorySaver walks a ring for ever, and takes all memory meanwhile."""
    clause = DeltaHistoryClauses().test_delta_history_of_a_ring_ends
    with opened(InMemorySaverHarness(), flavour) as saver:
        with pytest.raises(pytest.fail.Exception) as failed:
            clause(saver)
        assert saver.get_tuple(on("another")) is None
    assert str(failed.value).startswith("expected: an answer, however ('one', 'two') are")
    assert "\ngot:      1,000,000 lines of Python, and no end" in str(failed.value)


def test_22_bugs_of_a_small_saver_are_caught_and_each_message_says_what_was_expected(
    tmp_path: Path,
) -> None:
    report = tmp_path / "report.xml"
    some = "put_returns or put_reads or put_parent or namespaces_are_apart or test_put_writes"
    clauses = f"({some} or test_get_tuple or test_list or test_filter) and not half_consumed"
    small = f"{clauses} and not values_of_writes and not every_string and not long_histories"
    done = run(
        *("pytest", "-q", "-p", "conformance_tests.plugin", "-p", "no:cacheprovider"),
        *("conformance_tests/tests/small_bugs.py", "-k", small, f"--junit-xml={report}"),
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    caught, unclear = set(), []
    for case in ET.parse(report).getroot().iter("testcase"):
        for failure in case.iter("failure"):
            caught.add(case.attrib["classname"].rpartition(".Test")[2])
            message = f"{failure.get('message')}{failure.text}"
            if not ("expected" in message and "got" in message):
                unclear.append((case.attrib["classname"], case.attrib["name"], message[:300]))
    assert caught == set(BUGS)
    silent = [each for each in unclear if "DID NOT RAISE" not in each[2]]
    silent = [each for each in silent if "langgraph/checkpoint" not in each[2]]
    assert not silent, silent
