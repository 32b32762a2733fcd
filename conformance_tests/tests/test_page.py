"""docs/conformance.md says what is there."""

from __future__ import annotations

import inspect

from conformance_tests.stores.conformance import WITHOUT_INDEX
from conformance_tests.tests.page import CONTRACT, PAGE, contract, current
from conformance_tests.tests.where import backend_classes, clauses_run_by


def test_the_page_is_current() -> None:
    """`python -m conformance_tests.tests.page` makes it so."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == current(text)


def test_the_contract_is_current() -> None:
    told = CONTRACT.read_text(encoding="utf-8")
    assert told == contract(), "run `python -m conformance_tests.tests.page`"


def test_what_a_class_leaves_to_another_one_is_run_there() -> None:
    classes = list(backend_classes())
    leaving = [(package, cls) for package, cls in classes if cls.left_to_others]
    assert leaving
    for package, cls in leaving:
        left = clauses_run_by(cls.__mro__[1]) - clauses_run_by(cls)
        assert left, cls
        assert any(
            left <= clauses_run_by(other)
            for of, other in classes
            if of == package and not other.left_to_others
        ), cls


def test_clauses_that_say_that_they_have_no_index_open_none() -> None:
    for mixin in WITHOUT_INDEX:
        assert "index_of(" not in inspect.getsource(mixin)
