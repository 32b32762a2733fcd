"""The blocking driver: sends scripts from any number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from redis import Redis, RedisCluster
from redis.exceptions import ResponseError

from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.plan import run
from checkpoint_redis.connection.commands import (
    RAW,
    TAKES_NAME,
    CommandBatch,
    LeavePrimary,
    exchange,
)
from checkpoint_redis.connection.connect import STEP
from checkpoint_redis.connection.requests import ScriptCalls


class SyncRedisDriver:
    """Performs the requests of plans on a blocking client.

    Args:
        client: a client of one server, of a Sentinel primary, or of a cluster.
        call_timeout: seconds for a request with its retry; None: no limit.
    """

    def __init__(self, client: Redis | RedisCluster, call_timeout: float | None = None) -> None:
        self._client: Any = client  # redis-py types its methods in part
        self._of_cluster = isinstance(client, RedisCluster)
        # Scripts are written to a pooled connection directly: redis-py's execute_command takes as
        # long as the server. A client with a single connection guards it with a lock: use its API.
        self._pool: Any = None
        if not isinstance(client, RedisCluster) and client.connection is None:
            self._pool = client.connection_pool
        self._options = {} if self._of_cluster else {"transaction": False}
        self.call_timeout = call_timeout

    def perform(self, request: Any) -> Any:
        """Run the scripts of a request, and return their replies.

        Raises:
            CheckpointError: the class of the cause, as `translate_error` says.
        """
        if not isinstance(request, ScriptCalls):
            raise TypeError(f"cannot perform {request!r}")
        deadline = Deadline(self.call_timeout, STEP)
        plan = exchange(request, deadline, of_cluster=self._of_cluster)
        return run(plan, partial(self._send, deadline))

    def _send(self, deadline: Deadline, batch: CommandBatch | LeavePrimary) -> Any:
        """The replies to a batch. The server's errors are among them, not raised."""
        if isinstance(batch, LeavePrimary):
            return self._client.connection_pool.disconnect(inuse_connections=False)
        if self._pool is None:
            return self._send_by_client(batch)
        return self._send_on_connection(batch, deadline)

    def _send_on_connection(self, batch: CommandBatch, deadline: Deadline) -> list[Any]:
        pool = self._pool
        connection = pool.get_connection("EVALSHA") if TAKES_NAME else pool.get_connection()
        is_limited = connection.socket_timeout is not None or self.call_timeout is None
        try:
            if not is_limited:
                _set_timeout(connection, deadline.remaining())
            connection.send_packed_command([batch.encoded()])
            replies = [_reply(connection) for _ in batch.calls]
            if not is_limited:
                _set_timeout(connection, None)
            return replies
        except BaseException:  # also KeyboardInterrupt: the next caller must not read these replies
            connection.disconnect()
            raise
        finally:
            pool.release(connection)

    def _send_by_client(self, batch: CommandBatch) -> list[Any]:
        commands = batch.commands()
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

    def _where(self, command: Sequence[Any]) -> dict[str, Any]:
        """The option that names the node of a script's first key. Without it redis-py asks a node
        for the keys of each command.
        """
        if not self._of_cluster:
            return {}
        return {"target_nodes": self._client.get_node_from_key(command[3])}


def _reply(connection: Any) -> Any:
    """Read a reply; an error of the server is returned, not raised."""
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _set_timeout(connection: Any, seconds: float | None) -> None:
    """Set the timeout of a connection whose client has no `socket_timeout`."""
    if connection._sock is not None:
        connection._sock.settimeout(seconds)
