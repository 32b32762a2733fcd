"""docs/conformance.md says what is there."""

from __future__ import annotations

from conformance_tests.tests.page import CONTRACT, PAGE, contract, current


def test_the_page_is_current() -> None:
    """`python -m conformance_tests.tests.page` makes it so."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == current(text)


def test_the_contract_is_current() -> None:
    told = CONTRACT.read_text(encoding="utf-8")
    assert told == contract(), "run `python -m conformance_tests.tests.page`"
