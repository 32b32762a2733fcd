"""How savers and stores end."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from checkpoint_base.tests.lives import assert_aclosed, assert_closed, assert_ended
from checkpoint_redis import AsyncRedisSaver, AsyncRedisStore, RedisSaver, RedisStore

URL = "redis://127.0.0.1:1"  # nobody is asked anything


@pytest.mark.parametrize("kind", [RedisSaver, RedisStore])
def test_what_is_closed_says_so(kind: Any) -> None:
    assert_closed(kind.from_conn_string(URL))


@pytest.mark.parametrize("kind", [AsyncRedisSaver, AsyncRedisStore])
def test_what_is_closed_says_so_to_who_awaits(kind: Any) -> None:
    assert_aclosed(lambda: kind.from_conn_string(URL))


@pytest.mark.parametrize("kind", [AsyncRedisSaver, AsyncRedisStore])
def test_what_belongs_to_a_loop_that_has_ended_says_so(kind: Any) -> None:
    async def make() -> Any:
        return kind(Redis.from_url(URL))

    assert_ended(make)
