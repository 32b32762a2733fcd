"""Pages of `list`: what a database selects may be too much, and is checked here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.filters import matches
from checkpoint_base.saver.planner import Listing
from checkpoint_base.saver.records.snapshot import CheckpointRow

_MOST_CANDIDATES: Final = 200
_EXPONENTS: Final = 10**15

Candidates = Callable[[Listing, int], Plan[list[CheckpointRow]]]
"""Reads up to so many of the next rows that may be wanted, in order."""


def paginate(
    codec: Codec, listing: Listing, candidates: Candidates
) -> Plan[tuple[list[CheckpointRow], Listing | None]]:
    """The next page of a listing, and what is left to list (None: nothing).

    Where few candidates match, twice as many are asked for each time.
    """
    size = count = listing.page_size
    found: list[CheckpointRow] = []
    rest: Listing | None = listing
    while rest is not None and len(found) < size:
        some = yield from candidates(rest, count)
        fitting = [one for one in some if matches_metadata(codec, one, listing.filter)]
        taken = fitting[: size - len(found)]
        found += taken
        if len(taken) < len(fitting):
            rest = rest.after(len(taken), taken[-1].position)
        else:
            rest = None if len(some) < count else rest.after(len(taken), some[-1].position)
        count = max(count, min(2 * count, _MOST_CANDIDATES))
    return found, rest if rest is None or rest.remaining != 0 else None


def matches_metadata(codec: Codec, found: CheckpointRow, wanted: Mapping[str, Any] | None) -> bool:
    """Whether a checkpoint's metadata is what `list` was asked for."""
    return not wanted or matches(codec.metadata_of(found.record), wanted)


def filter_fully_pushed_down(codec: Codec, wanted: Mapping[str, Any] | None) -> bool:
    """Whether rows that have all `prefilter_terms` most likely match: then their values may be read
    with them. Else `matches` should look at their metadata first.
    """
    return not wanted or all(
        type(key) is str and _is_sought(value) and codec.is_readable(key)
        for key, value in wanted.items()
    )


def prefilter_terms(wanted: Mapping[str, Any] | None) -> list[str]:
    """Pieces of JSON that every match has. They only spare rows: `matches` decides."""
    if not wanted:
        return []
    return [
        json.dumps({key: value}, separators=(",", ":"))[1:-1]
        for key, value in wanted.items()
        if type(key) is str and _is_sought(value)
    ]


def _is_sought(value: Any) -> bool:
    """Whether JSON has only one beginning for what equals `value`: 7 is the beginning of 7.0, but
    0 also equals -0.0, and a large number may have an exponent.
    """
    kind = type(value)
    return kind is str or kind is bool or (kind is int and 0 < abs(value) < _EXPONENTS)
