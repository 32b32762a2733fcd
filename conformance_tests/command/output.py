"""The files that a run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance_tests.report.badge import to_badge
from conformance_tests.report.html import to_html
from conformance_tests.report.junit import to_junit
from conformance_tests.report.report import Report, to_json

FORMATS = {"html": to_html, "json": to_json, "junit": to_junit, "badge": to_badge}


def write_reports(
    paths: Mapping[str, Path | None], reports: Sequence[Report], error: str = ""
) -> list[Path]:
    """Write a file for each format that has a path.

    Args:
        paths: By format.
        reports: What is known.
        error: Why nothing, or no more, could run.

    Returns:
        The files.
    """
    written = []
    for kind, make in FORMATS.items():
        if path := paths.get(kind):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make(reports, error), encoding="utf-8")
            written.append(path)
    return written
