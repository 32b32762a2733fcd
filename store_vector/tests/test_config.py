"""What `ttl=` of a store means."""

from __future__ import annotations

from typing import Any

import pytest

from checkpoint_base.errors import InvalidArgumentError
from store_vector.config import StoreTTL


@pytest.mark.parametrize("key", ["refresh_on_read", "omit_expired"])
@pytest.mark.parametrize("value", ["no", "", 0, 1, []])
def test_a_switch_that_is_none_is_refused(key: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"ttl\['{key}'\]: wanted True or False"):
        StoreTTL.of({key: value})


def test_null_is_the_default() -> None:
    assert StoreTTL.of({"refresh_on_read": None, "omit_expired": None}) == StoreTTL()
    assert StoreTTL.of({"refresh_on_read": False}) == StoreTTL(refresh_on_read=False)
