"""Pages of `list`: what a database selects may be too much, and is checked here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from checkpoint_base.codec import Codec
from checkpoint_base.filters import matches
from checkpoint_base.plan import Plan
from checkpoint_base.planner import Listing
from checkpoint_base.reading import Found

Candidates = Callable[[Listing, int], Plan[list[Found]]]
"""Reads up to so many of the next rows that may be wanted, in order."""


def fill_page(
    codec: Codec, listing: Listing, candidates: Candidates
) -> Plan[tuple[list[Found], Listing | None]]:
    """The next page of a listing, and what is left to list (None: nothing)."""
    size = listing.page_size
    found: list[Found] = []
    rest: Listing | None = listing
    while rest is not None and len(found) < size:
        wanted = size - len(found)
        some = yield from candidates(rest, wanted)
        fitting = [one for one in some if matches_metadata(codec, one, listing.filter)]
        found += fitting
        rest = None if len(some) < wanted else rest.after(len(fitting), some[-1].position)
    return found, rest if rest is None or rest.remaining != 0 else None


def matches_metadata(codec: Codec, found: Found, wanted: Mapping[str, Any] | None) -> bool:
    """Whether a checkpoint's metadata is what `list` was asked for."""
    return not wanted or matches(codec.metadata(found.record.metadata, found.record.sealed), wanted)


def fragments(wanted: Mapping[str, Any] | None) -> list[str]:
    """Pieces of JSON that every match has. They only spare rows: `matches` decides."""
    if not wanted:
        return []
    return [
        json.dumps({key: value}, separators=(",", ":"))[1:-1]
        for key, value in wanted.items()
        if type(key) is str and (type(value) is str or type(value) is bool)
    ]
