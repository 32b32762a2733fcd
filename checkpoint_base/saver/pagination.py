"""Pagination of `list`: a database prefilters rows, and this module applies the filter to each."""

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
"""Reads up to the given number of the next rows that may match, in list order."""


def paginate(
    codec: Codec, listing: Listing, candidates: Candidates
) -> Plan[tuple[list[CheckpointRow], Listing | None]]:
    """The next page of a listing, and the rest of the listing (None: complete).

    Each further read of a page requests twice as many candidates, up to `_MOST_CANDIDATES`.
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
    """Whether a checkpoint's metadata matches the filter of `list`."""
    return not wanted or matches(codec.metadata_of(found.record), wanted)


def filter_fully_pushed_down(codec: Codec, wanted: Mapping[str, Any] | None) -> bool:
    """Whether nearly all rows that contain all `prefilter_terms` match. If so, a backend may read
    their values together with them; otherwise it should check their metadata first.
    """
    return not wanted or all(
        type(key) is str and _is_sought(value) and codec.is_readable(key)
        for key, value in wanted.items()
    )


def prefilter_terms(wanted: Mapping[str, Any] | None) -> list[str]:
    """JSON substrings that every match contains. They only reduce the rows: `matches` decides."""
    if not wanted:
        return []
    return [
        json.dumps({key: value}, separators=(",", ":"))[1:-1]
        for key, value in wanted.items()
        if type(key) is str and _is_sought(value)
    ]


def _is_sought(value: Any) -> bool:
    """Whether the JSON text of `value` is a prefix of the JSON of every equal value. That holds for
    7 (and 7.0), but not for 0 (equals -0.0) or for large numbers (may have an exponent).
    """
    kind = type(value)
    return kind is str or kind is bool or (kind is int and 0 < abs(value) < _EXPONENTS)
