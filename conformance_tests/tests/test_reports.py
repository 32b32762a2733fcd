"""What a run leaves behind: console, JSON and its schema, badge."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from conformance_tests import CONTRACT_VERSION
from conformance_tests.command.main import main
from conformance_tests.command.run import reports_of
from conformance_tests.command.terminal import told
from conformance_tests.contract.verdicts import FAILED, PASSED, WORST_FIRST
from conformance_tests.report.badge import to_badge
from conformance_tests.report.report import Case, Report, to_json

SCHEMA = json.loads(
    (files("conformance_tests") / "assets" / "report.schema.json").read_text("utf-8")
)
KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "null": type(None),
}


def errors(value: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
    """What does not agree with a schema, for the keywords that ours has."""
    if "$ref" in schema:
        return errors(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], path)
    if "anyOf" in schema:
        found = [errors(value, each, path) for each in schema["anyOf"]]
        return [] if [] in found else [f"{path}: {found}"]
    if value not in schema.get("enum", [value]):
        return [f"{path}: {value!r}"]
    if "type" in schema and not isinstance(value, KINDS[schema["type"]]):
        return [f"{path}: {value!r} is no {schema['type']}"]
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{path}: {value!r} is not like {schema['pattern']}"]
    found = []
    if isinstance(value, list):
        found = [errors(each, schema["items"], f"{path}[{i}]") for i, each in enumerate(value)]
    elif isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        missing = sorted(set(schema.get("required", [])) - set(value))
        found = [[f"{path}: {name} is missing"] for name in missing]
        for name, each in value.items():
            if name in named or others:
                found.append(errors(each, named.get(name, others), f"{path}.{name}"))
            else:
                found.append([f"{path}: {name} is not in the schema"])
    return [error for some in found for error in some]


def report(*outcomes: str, message: str = "") -> Report:
    """A saver's report, whose first clauses have these outcomes."""
    (made,) = reports_of(["saver"], []).values()
    made.harness, made.server = "mine", "Mine 1.0"
    for result, outcome in zip(made.results.values(), outcomes, strict=False):
        result.cases = [Case("sync", outcome, 0.1, message), Case("async", PASSED, 0.1)]
    return made


def test_reports_agree_with_the_schema() -> None:
    some = report(*WORST_FIRST)
    some.reasons["ttl"] = "it has none"
    for text in (to_json([some]), to_json([], "mypkg: no such module")):
        assert errors(json.loads(text), SCHEMA) == []
    plain = json.loads(to_json([some]))
    plain["contracts"][0]["clauses"][0]["outcome"] = "nonsense"
    plain["contracts"][0]["clauses"][1]["id"] = "nonsense"
    del plain["error"]
    assert len(errors(plain, SCHEMA)) == 3


def test_the_schema_has_every_outcome() -> None:
    assert set(SCHEMA["$defs"]["outcome"]["enum"]) == set(WORST_FIRST)


@pytest.mark.parametrize(
    ("reports", "error", "words", "colour"),
    [
        ([report(PASSED, PASSED)], "", "saver 2 held", "#1a7f37"),
        ([report(PASSED, PASSED, FAILED)], "", "1 of 3 failed", "#cf222e"),
        ([report()], "", "did not run", "#6e7781"),
        ([], "<no module>", "did not run", "#6e7781"),
    ],
)
def test_the_badge_says_what_ran(
    reports: list[Report], error: str, words: str, colour: str
) -> None:
    text = to_badge(reports, error)
    label, message = [each.text for each in ET.fromstring(text).iter() if each.tag.endswith("text")]
    assert message == words
    assert label is not None
    assert CONTRACT_VERSION in label
    assert colour in text


def test_failures_with_one_cause_are_shown_once() -> None:
    made = report(*[FAILED] * 5, message="LookupError: no key 'a1' at 0x7f, in 12 rows")
    ids = list(made.results)
    other, last = made.results[ids[1]], made.results[ids[4]]
    other.cases[0].message = "AssertionError: got 1"
    last.cases[0].message = "LookupError: no key 'b2' at 0x8f, in 7 rows"
    lines = list(told(made))
    heads = [line for line in lines if line.startswith("FAILED")]
    assert heads == [f"FAILED {ids[0]} (1 of 2 cases)", f"FAILED {ids[1]} (1 of 2 cases)"]
    begin = lines.index("  with the same message, 3 more:")
    assert lines[begin + 1 : begin + 4] == [f"    {ids[i]}" for i in (2, 3, 4)]


def test_the_list_has_headings_counts_and_every_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "--list", "--only", "put", "--only", "ttl", "--profile", "suite"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^saver, contract [\d.]+: \d+ in langgraph, \d+ in suite", text)
    assert re.search(r"\nttl: expire whole threads \(0 in langgraph, \d+ in suite\)\n", text)
    lines = text.splitlines()
    place = lines.index("  saver.put.again_replaces")
    assert lines[place + 1].strip().startswith("The run that ends rewrites its last checkpoint")


def test_a_clause_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--explain", "saver.setup.both_names"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("saver.setup.both_names\n  must hold:   both names. ")
    for words in (
        "setup, to create",
        "profile:     suite",
        "source:      ",
        "--profile suite -",
    ):
        assert words in text
    assert main(["run", "--explain", "saver.nix"]) == 2
    assert capsys.readouterr().err == "--explain saver.nix: there is no such clause; see --list\n"
