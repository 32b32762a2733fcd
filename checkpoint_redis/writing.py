"""Storing: a put is tried on what is known of the thread's log, and again on what is there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from checkpoint_base.checksums import new_salt
from checkpoint_base.known import KnownLog
from checkpoint_base.log import DIGESTS_READ, Logs, Prepared
from checkpoint_base.plan import Plan
from checkpoint_base.records import ChannelRecord, PutRecord, Stored
from checkpoint_redis.keys import Keys
from checkpoint_redis.packing import digests_name, with_checksum, without_checksum
from checkpoint_redis.requests import Arg, Call, calls
from checkpoint_redis.scripts import script

OVERDUE: Final = 64
"""When a part of the registry has so many threads that should be gone, a put looks after them."""

Finish = Callable[[bytes, Sequence[Stored]], list[Arg]]
"""What an operation's script takes, of the thread's salt and of what its values became."""


class Storing(NamedTuple):
    """What is to be stored.

    Attributes:
        name: of the script.
        thread_id: where.
        ttl: minutes that this run asks for.
        records: whose values are to be stored.
        finish: gives the script's own arguments.
        put: of which this is all, if it is one.
        granted: names of values that must be there.
        takes_parent: something was taken from the parent, as this process knows it: the thread must
            be there, and the one in which the parent was.
    """

    name: str
    thread_id: str
    ttl: float | None
    records: Sequence[ChannelRecord]
    finish: Finish
    put: PutRecord | None = None
    granted: Sequence[bytes] = ()
    takes_parent: bool = False


def moment(seconds: float | None) -> bytes:
    """A time as scripts take it."""
    return b"" if seconds is None else repr(seconds).encode()


def seconds(told: bytes) -> float | None:
    """A time as scripts reply it."""
    return float(told) if told else None


class Writing:
    """Sub-plans on one thread."""

    _logs: Logs
    _keys: Keys

    # ------------------------------------------------------------------ what scripts take

    def _head(self, thread_id: str) -> list[Arg]:
        """What all scripts of a thread begin with."""
        horizon = moment(self._logs.clock()) if self._logs.policy.expires_whole else b""
        return [thread_id.encode(), horizon]

    def _touch(self) -> list[Arg]:
        policy = self._logs.policy
        return [
            moment(self._logs.clock()),
            moment(policy.default_ttl),
            int(policy.expires_whole),
        ]

    @property
    def _moves(self) -> int:
        return int(self._logs.policy.refresh_on_read)

    def _call(self, name: str, thread_id: str, args: Sequence[Arg] = ()) -> Call:
        return Call(script(name), self._keys.thread(thread_id), [*self._head(thread_id), *args])

    def _ask(self, name: str, thread_id: str, args: Sequence[Arg] = ()) -> Plan[Any]:
        (reply,) = yield from calls([self._call(name, thread_id, args)])
        return reply

    # ------------------------------------------------------------------ storing

    def _store(self, what: Storing) -> Plan[list[int] | bytes]:
        """Store it, and reply b"done"; or store nothing, and reply why: the numbers of the values
        that must be there and are not; with `takes_parent`, b"absent" if the thread was deleted,
        b"other" if it was deleted and made again.
        """
        name, thread_id, ttl, records, finish, to_put, granted, takes_parent = what
        run_id = to_put.run_id if to_put else None
        epoch = self._logs.new_epoch()
        is_known = self._keys.clustered and self._logs.known.get(thread_id) is not None
        must_exist = is_known or takes_parent
        prepared = self._logs.prepare(thread_id, records, KnownLog(epoch, 0))
        assert prepared is not None  # noqa: S101 (there is a log to take it for)
        salt = self._logs.known.salts.get(thread_id) or new_salt()
        while True:
            opening = [*self._touch(), moment(ttl), str(epoch), salt, *_log_of(salt, prepared)]
            last: list[Arg] = [int(must_exist), len(granted), *granted, DIGESTS_READ]
            last += finish(salt, prepared.stored)
            put = self._call(name, thread_id, [*opening, *last])
            reply = yield from self._registered(put, thread_id, ttl, run_id, alone=not must_exist)
            if reply[0] == b"absent":
                if takes_parent:
                    return b"absent"
                must_exist = False
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
        if reply[4] >= OVERDUE and self._logs.policy.expires_whole:
            yield from self._tidy(self._keys.registry(thread_id))
        return b"done"

    def _registered(
        self, put: Call, thread_id: str, ttl: float | None, run_id: str | None, *, alone: bool
    ) -> Plan[Any]:
        """The reply of a put. Where its script cannot reach the registry, that is told at the same
        time, or before, if the thread may be new.
        """
        if not self._keys.clustered:
            return _stored((yield from calls([put]))[0])
        due = self._logs.policy.expiry(self._logs.clock(), ttl)
        register = self._register(thread_id, due, run_id)
        if alone:
            overdue = yield from calls([register])
            (reply,) = yield from calls([put])
        else:
            *overdue, reply = yield from calls([register, put])
        reply = _stored(reply)
        if reply[0] in (b"absent", b"other", b"partial"):
            return reply
        if seconds(reply[3]) != due or reply[5]:  # it has a time to live of its own, or garbage
            due = seconds(reply[3])
            yield from calls([self._register(thread_id, due, has_garbage=bool(reply[5]))])
        return [*reply[:4], *overdue]

    def _register(
        self, thread_id: str, due: float | None, *runs: str | None, has_garbage: bool = False
    ) -> Call:
        noted = [run.encode() for run in runs if run is not None]
        now = moment(self._logs.clock())
        args: list[Arg] = [thread_id.encode(), now, moment(due), int(has_garbage), *noted]
        return Call(script("register"), self._keys.registry(thread_id), args)

    def _prepare_again(
        self, thread_id: str, reply: Sequence[Any], new_epoch: int, records: Sequence[ChannelRecord]
    ) -> Plan[Prepared]:
        """The records' values, for the log that a script found."""

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
        self, thread_id: str, reply: Sequence[Any], prepared: Prepared, put: PutRecord | None
    ) -> None:
        epoch, log_end = int(reply[1]), int(reply[2])
        if not log_end:
            self._logs.known.put(thread_id, epoch, 0, ())
        if put is None:
            self._logs.committed(thread_id, prepared)
        else:
            self._logs.put_committed(put, prepared)

    # ------------------------------------------------------------------ the registry

    @abstractmethod
    def _tidy(self, part: list[bytes]) -> Plan[None]:
        """Look after threads of this part that should be gone."""

    def _forget(self, name: bytes, updated: bytes, due: bytes) -> Call:
        """Drop a thread that is not there from the registry.

        Where a script cannot look for the thread again, one that was noted a moment ago may be in
        the making: it stays.
        """
        keys = self._keys.registry(name.decode())
        if not self._keys.clustered:
            keys = [*keys, self._keys.thread(name.decode())[0]]
        elif updated and float(updated) > self._logs.clock() - IN_THE_MAKING:
            updated = b""
        return Call(script("forget"), keys, [name, updated, due])


IN_THE_MAKING: Final = 300.0
"""Seconds within which a put that has registered its thread has stored it, or failed."""


def _stored(reply: bytes | list[Any]) -> list[Any]:
    """What a script says that stored something: b"done" or b"lost", the epoch, the end of the log,
    the expiry, how many threads are overdue, whether there is much garbage. Or why it did not.
    """
    if isinstance(reply, list):
        return reply
    *names, overdue, has_garbage = reply.split(b" ")
    return [*names, int(overdue), int(has_garbage)]


def _log_of(salt: bytes, prepared: Prepared) -> list[Arg]:
    """What must be so of the log, and what is appended to it."""
    log = prepared.appender
    if log is None or not log.shares:
        return [b"", 0, 0, 0]
    segments: list[Arg] = []
    for start, digests, data in prepared.segments:
        segments += start, with_checksum(salt, digests_name(start), digests), data
    return [str(log.epoch), log.begin, log.end, len(segments), *segments]
