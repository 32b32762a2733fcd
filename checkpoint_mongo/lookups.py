"""Look-ups of many tasks as one: what tasks on an event loop ask for at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkpoint_mongo.requests import Named

JOINED: Final = 4
"""So many at most: a server may compare each document with all refs that are asked for."""

SMALL: Final = 64
"""Who asks for more refs than this asks alone: the others should not wait for it."""


def joined(requests: Sequence[Named]) -> Named:
    """One look-up instead of some."""
    if len(requests) == 1:
        return requests[0]
    refs = dict.fromkeys(ref for request in requests for ref in request.refs)
    thread_ids = dict.fromkeys(name for request in requests for name in request.thread_ids)
    return Named(list(refs), list(thread_ids))


def shared_out(
    requests: Sequence[Named], found: Sequence[dict[str, Any]]
) -> list[list[dict[str, Any]]]:
    """Of what was found what each of them asked for, in the order in which it came."""
    if len(requests) == 1:
        return [list(found)]
    asking: dict[bytes, list[int]] = {}
    for at, request in enumerate(requests):
        for ref in request.refs:
            asking.setdefault(ref, []).append(at)
    shares: list[list[dict[str, Any]]] = [[] for _ in requests]
    for one in found:
        refs = [one["ref"]] if isinstance(one["ref"], bytes) else one["ref"]
        for at in {at for ref in refs for at in asking.get(ref, ())}:
            shares[at].append(one)
    return shares
