"""A new clause raises the contract's minor version, a stricter or a removed one its major one."""

from __future__ import annotations

import pytest

from conformance_tests import CONTRACT_VERSION
from conformance_tests.tests.versions import History, changes, read, recorded, texts, too_small

FIRST = recorded(History({}, {}), "1.0.0", {"saver.a.b": "1", "saver.a.c": "2"}, stricter=True)


def test_the_clauses_are_those_that_are_recorded_for_this_version() -> None:
    """A clause whose text has changed may be stricter: `python -m conformance_tests.tests.versions`
    records that it is, and with `--as-before` that it is not.
    """
    history = read()
    assert list(history.versions)[-1] == CONTRACT_VERSION
    assert changes(history, texts()) == {"added": [], "removed": [], "stricter": []}


def test_each_version_says_what_it_brought() -> None:
    assert too_small(read()) == []


@pytest.mark.parametrize(
    ("now", "version", "needed"),
    [
        ({"saver.a.b": "1", "saver.a.c": "2", "saver.a.d": "3"}, "1.0.1", "minor"),
        ({"saver.a.b": "1", "saver.a.c": "2", "saver.a.d": "3"}, "1.1.0", None),
        ({"saver.a.b": "1", "saver.a.c": "other"}, "1.1.0", "major"),
        ({"saver.a.b": "1", "saver.a.c": "other"}, "2.0.0", None),
        ({"saver.a.b": "1"}, "1.1.0", "major"),
        ({"saver.a.b": "1"}, "2.0.0", None),
        ({"saver.a.b": "1", "saver.a.c": "2"}, "1.0.1", None),
    ],
)
def test_a_version_that_is_too_small_is_named(
    now: dict[str, str], version: str, needed: str | None
) -> None:
    history = recorded(FIRST, version, now, stricter=True)
    expected = [] if needed is None else [f"{version} after 1.0.0: a {needed} one"]
    assert too_small(history) == expected
    assert not any(changes(history, now).values())


def test_a_text_that_asks_for_the_same_as_before_needs_no_version() -> None:
    history = recorded(FIRST, "1.0.0", {"saver.a.b": "1", "saver.a.c": "other"}, stricter=False)
    assert history.versions == FIRST.versions
    assert history.texts["saver.a.c"] == "other"


@pytest.mark.parametrize("now", [{"saver.a.b": "1"}, {"saver.a.b": "1", "saver.a.c": "other"}])
def test_a_version_that_is_released_stays_as_it_is(now: dict[str, str]) -> None:
    released = FIRST._replace(released=("1.0.0",))
    with pytest.raises(ValueError, match="is released: raise CONTRACT_VERSION"):
        recorded(released, "1.0.0", now, stricter=True)
    assert recorded(released, "2.0.0", now, stricter=True).versions.keys() == {"1.0.0", "2.0.0"}
