"""Writing of report files."""

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
    """Write a report file for each format that has a path.

    Args:
        paths: Format -> path or None.
        reports: The reports of the run.
        error: Why the run did not start, or ended early.

    Returns:
        The paths of the files.
    """
    written = []
    for kind, make in FORMATS.items():
        if path := paths.get(kind):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make(reports, error), encoding="utf-8")
            written.append(path)
    return written
