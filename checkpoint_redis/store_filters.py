"""Filters as scripts take them. They only spare items: `Filter.matches` decides."""

from __future__ import annotations

from typing import Final

from checkpoint_redis.requests import Arg
from store_vector.filters import Filter, is_number
from store_vector.fragments import fragment, is_printable
from store_vector.values import dumps

_EXACT: Final = 2**53
_SPARE: Final = 1e-12  # Lua reads decimals as C does, Python as exactly as can be
_ABOVE: Final = ("$eq", "$gt", "$gte")
_BELOW: Final = ("$eq", "$lt", "$lte")


def arguments(wanted: Filter) -> list[Arg]:
    """The arguments of lua/store/filters.lua."""
    fragments: list[Arg] = []
    comparisons: list[Arg] = []
    for path, op, operand in wanted.conditions:
        name = path[-1]
        if op == "$eq" and (piece := fragment(name, operand)):
            fragments.append(piece.encode())
        elif is_number(operand) and abs(operand) <= _EXACT and is_printable(name):
            start, spare = dumps({name: 0})[1:-2].encode(), abs(operand) * _SPARE
            if op in _ABOVE:
                comparisons += start, ">", repr(float(operand - spare))
            if op in _BELOW:
                comparisons += start, "<", repr(float(operand + spare))
    return [len(fragments), *fragments, len(comparisons), *comparisons]
