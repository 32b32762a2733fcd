"""Blocking I/O, from any number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis, RedisCluster
from redis.exceptions import ReadOnlyError, ResponseError

from checkpoint_redis.commands import RAW, Command, checked, known, unknown, whole
from checkpoint_redis.failures import ERRORS, LOST, named
from checkpoint_redis.requests import Call, Calls


class SyncRedisDriver:
    """Performs plans."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._client: Any = client  # redis-py types its methods in part
        self._of_cluster = isinstance(client, RedisCluster)
        self._options = {} if self._of_cluster else {"transaction": False}

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan."""
        if isinstance(request, Calls):
            try:
                try:
                    return self._run(request.calls)
                except LOST as error:
                    if isinstance(error, ReadOnlyError) and not self._of_cluster:
                        # whoever is the primary now is met at the same address, on new connections
                        self._client.connection_pool.disconnect(inuse_connections=False)
                    return self._run(request.calls)
            except ERRORS as error:
                raise named(error) from error
        raise TypeError(f"cannot perform {request!r}")

    def _run(self, calls: Sequence[Call]) -> list[Any]:
        replies = self._send([known(call) for call in calls])
        if again := unknown(replies):
            told = self._send([whole(calls[n]) for n in again])
            for n, reply in zip(again, told, strict=True):
                replies[n] = reply
        return checked(calls, replies)

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [self._client.execute_command(*commands[0], **RAW)]
            except ResponseError as error:
                return [error]
        pipeline = self._client.pipeline(**self._options)
        with pipeline:
            for command in commands:
                pipeline.execute_command(*command, **RAW, **self._where(command))
            replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def _where(self, command: Command) -> dict[str, Any]:
        """The node of a script's first key: else redis-py asks a node for the keys of each."""
        if not self._of_cluster:
            return {}
        return {"target_nodes": self._client.get_node_from_key(command[3])}
