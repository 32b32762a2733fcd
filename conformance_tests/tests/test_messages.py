"""What a clause says is enough to mend a backend: what was got, and what was expected."""

from __future__ import annotations

import pytest

from conformance_tests.facade import SyncFacade
from conformance_tests.failures import told, unreadable_answer
from conformance_tests.savers.delta_history import history
from conformance_tests.tests.small import SmallSaver


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
