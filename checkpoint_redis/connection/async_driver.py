"""The asyncio driver: sends scripts on an event loop, and batches those of concurrent tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis, RedisCluster

from checkpoint_base.batching.batcher import RequestBatcher
from checkpoint_base.deadlines.timeouts import Deadline, LoopDeadline
from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.plan import arun
from checkpoint_redis.connection.commands import (
    RAW,
    TAKES_NAME,
    CommandBatch,
    LeavePrimary,
    exchange,
)
from checkpoint_redis.connection.connect import STEP, attempt_timeout
from checkpoint_redis.connection.requests import ScriptCalls

_CONCURRENCY: Final = 4
_MAX_BATCH: Final = 64


class AsyncRedisDriver:
    """Performs the requests of plans on an asyncio client, for any number of tasks.

    Args:
        client: a client of one server, of a Sentinel primary, or of a cluster.
        call_timeout: seconds for a request with its retry; None: no limit.
    """

    def __init__(self, client: Redis | RedisCluster, call_timeout: float | None = None) -> None:
        self._client: Any = client  # redis-py types its methods in part
        self._batcher = RequestBatcher[CommandBatch, list[Any]](
            self._send,
            max_batch=_MAX_BATCH,
            min_concurrency=_CONCURRENCY,
            max_concurrency=lambda: _CONCURRENCY,
            withdraw=CommandBatch.withdraw,
        )
        self._of_cluster = isinstance(client, RedisCluster)
        # see SyncRedisDriver
        self._pool: Any = None
        if not isinstance(client, RedisCluster) and not client.single_connection_client:
            self._pool = client.connection_pool
        self._options = {} if self._of_cluster else {"transaction": False}
        self.call_timeout = call_timeout

    async def perform(self, request: Any) -> Any:
        """Run the scripts of a request, and return their replies.

        Raises:
            CheckpointError: the class of the cause, as `translate_error` says.
        """
        if not isinstance(request, ScriptCalls):
            raise TypeError(f"cannot perform {request!r}")
        deadline = Deadline(self.call_timeout, STEP)
        plan = exchange(request, deadline, of_cluster=self._of_cluster)
        return await arun(plan, partial(self._reply, deadline))

    async def aclose(self) -> None:
        """Wait for batches that were sent before their callers were cancelled."""
        await self._batcher.aclose(self.call_timeout)

    async def _reply(self, deadline: Deadline, batch: CommandBatch | LeavePrimary) -> Any:
        """The replies to a batch. The server's errors are among them, not raised."""
        if isinstance(batch, LeavePrimary):
            return await self._client.connection_pool.disconnect(inuse_connections=False)
        if self._pool is not None:
            batch.encoded()
        if batch.is_large:
            return (await self._send((batch,)))[0]
        return await self._batcher.send(batch, deadline)

    async def _send(self, batches: Sequence[CommandBatch]) -> list[list[Any]]:
        """One attempt, limited to half of `call_timeout`: that leaves time for a retry."""
        seconds = attempt_timeout(self.call_timeout)
        try:
            with LoopDeadline(seconds, STEP):
                if self._pool is None:
                    return await self._send_by_client(batches)
                return await self._send_on_connection(batches)
        except BackendUnavailableError as error:
            raise exceptions.TimeoutError(f"no answer within {seconds:g} s") from error

    async def _send_on_connection(self, batches: Sequence[CommandBatch]) -> list[list[Any]]:
        pool = self._pool
        getting = pool.get_connection("EVALSHA") if TAKES_NAME else pool.get_connection()
        connection = await getting
        try:
            sent = [batch for batch in batches if not batch.withdrawn]
            await connection.send_packed_command(b"".join([batch.encoded() for batch in sent]))
            replies = {batch: [await _reply(connection) for _ in batch.calls] for batch in sent}
            return [replies.get(batch, []) for batch in batches]
        except BaseException:  # also a cancellation: the next caller must not read these replies
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def _send_by_client(self, batches: Sequence[CommandBatch]) -> list[list[Any]]:
        commands = [command for batch in batches for command in batch.commands()]
        if len(commands) == 1:
            try:
                return [[await self._client.execute_command(*commands[0], **RAW)]]
            except exceptions.ResponseError as error:
                return [[error]]
        pipeline = self._client.pipeline(**self._options)
        async with pipeline:
            for command in commands:
                pipeline.execute_command(*command, **RAW)
            replies = iter(await pipeline.execute(raise_on_error=False))
        return [[next(replies) for _ in batch.calls] for batch in batches]


async def _reply(connection: Any) -> Any:
    """Read a reply; an error of the server is returned, not raised."""
    try:
        return await connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        return error
