"""I/O on an event loop, for any number of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ReadOnlyError, ResponseError

from checkpoint_base.lanes import Lanes
from checkpoint_redis.commands import RAW, Command, checked, known, unknown, whole, withdraw
from checkpoint_redis.failures import ERRORS, LOST, named
from checkpoint_redis.requests import Call, Calls

_WIDTH: Final = 4
_TOGETHER: Final = 64

_LARGE: Final = 1 << 16
"""With an argument of more bytes than this a command holds up nobody: it has its own connection."""


class AsyncRedisDriver:
    """Performs plans."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._client: Any = client  # redis-py types its methods in part
        self._lanes = Lanes[Sequence[Command], list[Any]](
            self._send_all, _TOGETHER, _WIDTH, lambda: _WIDTH, withdraw=withdraw
        )
        self._of_cluster = isinstance(client, RedisCluster)
        self._options = {} if self._of_cluster else {"transaction": False}

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan."""
        if isinstance(request, Calls):
            try:
                try:
                    return await self._run(request.calls)
                except LOST as error:
                    if isinstance(error, ReadOnlyError) and not self._of_cluster:
                        # whoever is the primary now is met at the same address, on new connections
                        await self._client.connection_pool.disconnect(inuse_connections=False)
                    return await self._run(request.calls)
            except ERRORS as error:
                raise named(error) from error
        raise TypeError(f"cannot perform {request!r}")

    async def aclose(self) -> None:
        """Wait for what callers who were cancelled have left under way."""
        await self._lanes.aclose()

    async def _run(self, calls: Sequence[Call]) -> list[Any]:
        replies = await self._reply([known(call) for call in calls])
        if again := unknown(replies):
            told = await self._reply([whole(calls[n]) for n in again])
            for n, reply in zip(again, told, strict=True):
                replies[n] = reply
        return checked(calls, replies)

    async def _reply(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to some commands, errors of the server among them."""
        if any(type(arg) is bytes and len(arg) > _LARGE for one in commands for arg in one):
            return await self._send(commands)
        return await self._lanes.send(commands)

    async def _send_all(self, some: Sequence[Sequence[Command]]) -> list[list[Any]]:
        replies = iter(await self._send([one for commands in some for one in commands]))
        return [list(islice(replies, len(commands))) for commands in some]

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [await self._client.execute_command(*commands[0], **RAW)]
            except ResponseError as error:
                return [error]
        pipeline = self._client.pipeline(**self._options)
        async with pipeline:
            for command in commands:
                pipeline.execute_command(*command, **RAW)
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies
