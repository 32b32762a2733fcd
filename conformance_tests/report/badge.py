"""The badge for a README, as SVG: profile and verdict."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from conformance_tests.contract.verdicts import FAILED, PASSED
from conformance_tests.contract.version import CONTRACT_VERSION
from conformance_tests.report.report import Report

_HEIGHT = 20
_GLYPH = 6.6
"""Approximate width of a character in pixels; `textLength` stretches the text to fit."""


def to_badge(reports: Iterable[Report], error: str = "") -> str:
    """An SVG with the version of the contract, the profile and the verdict."""
    reports = list(reports)
    profiles = dict.fromkeys(report.profile for report in reports)
    label = " ".join(["conformance", *profiles, CONTRACT_VERSION])
    counts = [f"{report.contract} {report.counts[PASSED]} held" for report in reports]
    failures = sum(report.counts[FAILED] for report in reports)
    held = sum(report.counts[PASSED] for report in reports)
    if failures:
        counts = [f"{failures} of {failures + held} failed"]
    if error or not held + failures:
        return _svg(label, "did not run", "#6e7781")
    colour = "#cf222e" if failures else "#1a7f37"
    return _svg(label, ", ".join(counts), colour)


def _svg(label: str, message: str, colour: str) -> str:
    left, right = (round(len(text) * _GLYPH) + 10 for text in (label, message))
    width = left + right
    parts = [(label, left / 2, left - 10), (message, left + right / 2, right - 10)]
    texts = "".join(
        f'<text x="{middle:g}" y="14" textLength="{length}">{escape(text)}</text>'
        for text, middle, length in parts
    )
    title = escape(f"{label}: {message}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<rect width="{width}" height="{_HEIGHT}" rx="3" fill="#444c56"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right - 3}z" '
        f'fill="{colour}"/><g fill="#fff" text-anchor="middle" '
        f'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g></svg>\n'
    )
