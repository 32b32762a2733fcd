"""The report in JUnit's XML format, for CI servers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from xml.etree import ElementTree as ET

from conformance_tests.contract.verdicts import FAILED, PASSED
from conformance_tests.report.report import Report

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(reports: Iterable[Report], error: str = "") -> str:
    """Render a test suite for each report, and a test case for each case of a clause."""
    root = ET.Element("testsuites")
    if error:
        suite = ET.SubElement(root, "testsuite", name="run", tests="1", failures="0", errors="1")
        run = ET.SubElement(suite, "testcase", classname="run", name="ends")
        ET.SubElement(run, "error", message=_xml(error))
    for report in reports:
        suite = ET.SubElement(root, "testsuite", name=f"{report.contract}: {report.harness}")
        cases = [(r.clause, case) for r in report.results.values() for case in r.cases]
        failures = sum(case.outcome == FAILED for _, case in cases)
        suite.attrib |= {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}
        suite.attrib |= {"time": f"{report.seconds:.3f}"}
        skipped = 0
        for clause, case in cases:
            group, _, name = clause.id.rpartition(".")
            name = f"{name}[{case.name}]" if case.name else name
            element = ET.SubElement(suite, "testcase", classname=group, name=_xml(name))
            element.set("time", f"{case.seconds:.3f}")
            properties = ET.SubElement(element, "properties")
            ET.SubElement(properties, "property", name="clause", value=clause.id)
            if case.outcome == FAILED:
                first = case.message.partition("\n")[0]
                failure = ET.SubElement(element, "failure", message=_xml(first))
                failure.text = _xml(f"{clause.statement}\n{case.message}\n{case.calls}")
            elif case.outcome != PASSED:
                skipped += 1
                ET.SubElement(element, "skipped", message=case.outcome)
        suite.set("skipped", str(skipped))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
