"""How large a value will be, as far as that is known before it is encoded."""

from __future__ import annotations

from typing import Any

import pytest

from checkpoint_base.plan import OFFLOADED
from checkpoint_base.saver.codec.sizes import ChannelSizes

KEY = ("thread", "channel", False)


class Opaque:
    """Only encoding it tells how large it is."""


@pytest.mark.parametrize(
    "value", [None, 7, 0.5, True, "x" * 100, b"x", [1, "two"], {"a": [1, 2]}, ("x",) * 16]
)
def test_sizes_small_values_are_seen_to_be_small(value: Any) -> None:
    assert ChannelSizes().estimate([(KEY, value)]) < 1000


@pytest.mark.parametrize("value", [Opaque(), [Opaque()], list(range(17)), [[[1]]]])
def test_sizes_what_cannot_be_seen_counts_as_large_until_it_was_encoded(value: Any) -> None:
    sizes = ChannelSizes()
    assert sizes.estimate([(KEY, value)]) > OFFLOADED
    sizes.note(KEY, value, 300)
    assert sizes.estimate([(KEY, value)]) == 300
    assert sizes.estimate([(("thread", "channel", True), value)]) > OFFLOADED


def test_sizes_text_is_as_large_as_it_is_now() -> None:
    sizes = ChannelSizes()
    sizes.note(KEY, "short", 10)
    assert sizes.estimate([(KEY, "x" * 100_000)]) == 100_000


def test_sizes_of_several_values_add_up() -> None:
    half = "x" * (OFFLOADED // 2 + 1)
    keys = [("thread", name, False) for name in "ab"]
    assert ChannelSizes().estimate([(key, half) for key in keys]) > OFFLOADED


def test_sizes_the_oldest_are_forgotten() -> None:
    sizes, value = ChannelSizes(2), Opaque()
    keys = [("thread", name, False) for name in "abc"]
    for key in keys:
        sizes.note(key, value, 1)
    assert [sizes.estimate([(key, value)]) > OFFLOADED for key in keys] == [True, False, False]
