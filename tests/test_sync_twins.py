"""The generated blocking drivers are up to date."""

from __future__ import annotations

import pytest

from tests import sync_twins


def test_twins_are_current() -> None:
    assert sync_twins.main(["--check"]) is None


def test_a_twin_that_was_edited_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    edited = {
        **sync_twins.TWINS,
        "checkpoint_redis/connection/async_clients.py": "tests/sync_twins.py",
    }
    monkeypatch.setattr(sync_twins, "TWINS", edited)
    assert sync_twins.main(["--check"]) == "tests/sync_twins.py: run python -m tests.sync_twins"


def test_a_word_that_no_file_has_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sync_twins.WORDS, "nothing_has_this", "")
    assert "nothing_has_this" in str(sync_twins.main(["--check"]))


def test_words_are_exchanged_and_lines_left_out() -> None:
    source = "async def f() -> None:\n    await g()  # async only\n    await h()\n"
    twin = "def f() -> None:\n    h()\n"
    assert sync_twins.twin_of(source, set()) == twin
