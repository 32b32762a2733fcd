"""Storing checkpoints and writes. A put is first prepared for the thread's log as this process has
it in its cache; if the script finds another log, the put is prepared for that one and retried.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from checkpoint_base.dedup.index import ChunkIndex, LruCache
from checkpoint_base.dedup.writer import DIGESTS_READ, DedupWriter, EncodedValues
from checkpoint_base.plan import Plan
from checkpoint_base.saver.records.checksums import new_salt
from checkpoint_base.saver.records.kinds import ChannelRecord, PutRecord, Stored
from checkpoint_redis.connection.requests import Arg, ScriptCall, calls, moment, seconds
from checkpoint_redis.connection.scripts import script
from checkpoint_redis.saver.keys import KeyNames
from checkpoint_redis.saver.packing import digests_name, with_checksum, without_checksum
from checkpoint_redis.saver.registry import GARBAGE, Registry, run_label

OVERDUE: Final = 64
"""If a part of the registry has this many expired threads, a put removes some of them."""

Finish = Callable[[bytes, Sequence[Stored]], list[Arg]]
"""Builds the arguments of an operation's own script from the thread's salt and encoded values."""


class Storing(NamedTuple):
    """A write to one thread.

    Attributes:
        name: the script.
        thread_id: the thread.
        ttl: time to live in minutes that this run asks for; None: the thread's own stays.
        records: the values to encode and store.
        finish: builds the script's own arguments.
        put: the put, if this is one; None: pending writes.
        granted: names of value records that must exist.
        takes_parent: the put copies from its parent as this process has it in its cache: it fails
            if the thread was deleted, also if it was created again.
    """

    name: str
    thread_id: str
    ttl: float | None
    records: Sequence[ChannelRecord]
    finish: Finish
    put: PutRecord | None = None
    granted: Sequence[bytes] = ()
    takes_parent: bool = False


class RedisWriting:
    """Script calls on one thread, and the sub-plan that stores."""

    _logs: DedupWriter
    _keys: KeyNames
    _registry: Registry
    _own_ttls: LruCache[str, float | None]
    """thread -> its own time to live in minutes; None: it has none"""

    # ------------------------------------------------------------------ arguments of scripts

    def _head(self) -> list[Arg]:
        """The first argument of all scripts of a thread: threads expired by then are absent."""
        horizon = moment(self._logs.clock()) if self._logs.policy.expires_whole else b""
        return [horizon]

    def _touch(self, now: float | None = None) -> list[Arg]:
        policy = self._logs.policy
        return [
            moment(self._logs.clock() if now is None else now),
            moment(policy.default_ttl),
            int(policy.expires_whole),
        ]

    @property
    def _moves(self) -> int:
        return int(self._logs.policy.refresh_on_read)

    def _call(self, name: str, thread_id: str, args: Sequence[Arg] = ()) -> ScriptCall:
        return ScriptCall(script(name), self._keys.thread(thread_id), [*self._head(), *args])

    def _ask(self, name: str, thread_id: str, args: Sequence[Arg] = ()) -> Plan[Any]:
        (reply,) = yield from calls([self._call(name, thread_id, args)])
        return reply

    # ------------------------------------------------------------------ storing

    def _store(self, what: Storing) -> Plan[list[int] | bytes]:
        """Store a write.

        Returns:
            b"done"; or, if nothing was stored, why: the numbers of the values in `granted` that do
            not exist; with `takes_parent`, b"absent" if the thread was deleted, b"other" if it was
            deleted and created again.
        """
        name, thread_id, ttl, records, finish, to_put, granted, takes_parent = what
        epoch = self._logs.new_epoch()
        must_exist = takes_parent or self._logs.known.get(thread_id) is not None
        prepared = self._prepare_new(thread_id, epoch, records)
        salt = self._logs.known.salts.get(thread_id) or new_salt()
        while True:
            now = self._logs.clock()
            opening = [*self._touch(now), moment(ttl), str(epoch), salt, *_log_of(salt, prepared)]
            last: list[Arg] = [int(must_exist), len(granted), *granted, DIGESTS_READ]
            last += finish(salt, prepared.stored)
            put = self._call(name, thread_id, [*opening, *last])
            reply = yield from self._registered(put, what, now, is_known=must_exist)
            if reply[0] == b"absent":
                self._logs.known.forget(thread_id)
                if takes_parent:
                    return b"absent"
                if granted:
                    return list(range(len(granted)))
                must_exist, prepared = False, self._prepare_new(thread_id, epoch, records)
            elif reply[0] == b"partial":
                return [at - 1 for at in reply[1]]
            elif reply[0] == b"other":
                if takes_parent and reply[4] != salt:
                    return b"other"
                salt = reply[4] if reply[1] else salt
                prepared = yield from self._prepare_again(thread_id, reply, epoch, records)
            else:
                break
        if reply[0] == b"done":
            self._noted(thread_id, reply, prepared._replace(salt=salt), to_put)
        if reply[3] >= OVERDUE and self._logs.policy.expires_whole:
            yield from self._tidy(self._registry.part_of(thread_id))
        return b"done"

    def _registered(
        self, put: ScriptCall, what: Storing, now: float, *, is_known: bool
    ) -> Plan[Any]:
        """Register the thread and run the script. Returns the script's reply; if it has stored, as
        (outcome, epoch, log size, number of expired threads in the part of the registry).

        A thread is registered before it is created. If this process knows that it exists, both
        scripts may run at the same time: this one stores nothing if the thread is gone.
        """
        thread_id, stored = what.thread_id, what.put
        head = stored.checkpoint.checkpoint_id if stored else ""
        labels = [run_label(stored.run_id)] if stored and stored.run_id is not None else []
        known = self._own_ttls.get(thread_id)
        own = known if what.ttl is None else what.ttl
        due = self._logs.policy.expiry(now, own)
        register = self._registry.register(thread_id, now, due, head, labels)
        overdue, reply = yield from calls([register, put], in_order=not is_known)
        if isinstance(reply, list):
            return reply
        outcome, epoch, log_end, is_garbage, minutes = reply.split(b" ")
        if (ttl := seconds(minutes)) != known:
            self._own_ttls.put(thread_id, ttl)
        labels = [GARBAGE] if is_garbage == b"1" else []
        if ttl != own or labels:
            due = self._logs.policy.expiry(now, ttl)
            yield from calls([self._registry.register(thread_id, now, due, labels=labels)])
        return [outcome, epoch, log_end, overdue]

    def _prepare_new(
        self, thread_id: str, new_epoch: int, records: Sequence[ChannelRecord]
    ) -> EncodedValues:
        """Encode the values for the log in this process's cache, or else for a new log."""
        prepared = self._logs.prepare(thread_id, records, ChunkIndex(new_epoch, 0))
        assert prepared is not None  # noqa: S101 (it has a log to assume)
        return prepared

    def _prepare_again(
        self, thread_id: str, reply: Sequence[Any], new_epoch: int, records: Sequence[ChannelRecord]
    ) -> Plan[EncodedValues]:
        """Encode the values for the log that a script found."""

        def newest(_: int) -> Plan[list[tuple[int, bytes]]]:
            yield from ()
            seen, salt = reply[3:5]
            starts = map(int, seen[::2])
            return [
                (start, without_checksum(thread_id, salt, digests_name(start), stored))
                for start, stored in zip(starts, seen[1::2], strict=True)
            ]

        _, epoch, log_end = reply[:3]
        found = int(epoch) if epoch else new_epoch
        return (
            yield from self._logs.fit(thread_id, found, int(log_end), None, records, newest=newest)
        )

    def _noted(
        self, thread_id: str, reply: Sequence[Any], prepared: EncodedValues, put: PutRecord | None
    ) -> None:
        epoch, log_end = int(reply[1]), int(reply[2])
        if not log_end:
            self._logs.known.put(thread_id, epoch, 0, ())
        if put is None:
            self._logs.committed(thread_id, prepared)
        else:
            self._logs.put_committed(put, prepared)

    @abstractmethod
    def _tidy(self, part: int) -> Plan[None]:
        """Delete expired threads of a part of the registry."""


def _log_of(salt: bytes, prepared: EncodedValues) -> list[Arg]:
    """The arguments of a write about the log: required generation and size, and new segments."""
    log = prepared.appender
    if log is None or not log.shares:
        return [b"", 0, 0, 0]
    segments: list[Arg] = []
    for start, digests, data in prepared.segments:
        segments += start, with_checksum(salt, digests_name(start), digests), data
    return [str(log.epoch), log.begin, log.end, len(segments), *segments]
