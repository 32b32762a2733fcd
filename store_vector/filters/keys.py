"""Filter keys: an item's fields as sortable texts, which databases index for filters.

Beside its value, each item stores *filter keys*: for each field, nested fields included, its path
and a key. A key is a digit for the type, followed by the value: a number as the hexadecimal digits
of a double in a sortable encoding, a text truncated to 64 characters. If a < b, then key(a) <=
key(b), and equal values have equal keys. So a condition becomes a set or a range of keys, which
contains all matches and few false positives; `Filter.matches` removes these.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

from checkpoint_base.errors import InvalidArgumentError
from store_vector.filters.operators import OBJECT, Condition, Filter, Part, is_number

LONGEST: Final = 64
"""A text's key contains at most this many of its characters."""
DEEPEST: Final = 8
"""Maximum number of names in a path."""
INDEXES: Final = "store_field_"
"""Name prefix of the indexes of declared fields, on databases whose indexes have names."""
_MOST_FIELDS: Final = 32
_MOST_PARTS: Final = 100
"""Maximum number of conditions of an AND or an OR that is sent to a database. Databases evaluate
them recursively, and limit the depth.
"""
_NULL, _FALSE, _TRUE, _NUMBER, _BEHIND_NUMBERS, _TEXT, _BEHIND_TEXTS, _OBJECT, _ARRAY = "012345678"
_BEHIND_SURROGATES: Final = "\ue000"
_DOUBLE: Final = struct.Struct(">d")
_SIGN: Final = 1 << 63

T = TypeVar("T")


class Keys(NamedTuple):
    """The keys of all values that fulfil a condition: the set `points`, or if that is empty, the
    range from `low` to `high`, both inclusive.
    """

    points: tuple[str, ...] = ()
    low: str = ""
    high: str = ""


# ---------------------------------------------------------------- keys of values


def filter_keys(value: Mapping[str, Any]) -> dict[str, str]:
    """The filter keys of an item, by path. The key of an object or an array only has its type."""
    return dict(_fields("", value, DEEPEST))


def _fields(prefix: str, value: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    for name, field in value.items():
        path = prefix + _quoted(name)
        yield path, key_of(field)
        if depth > 1 and isinstance(field, Mapping):
            yield from _fields(path + "/", field, depth - 1)


def key_of(value: Any) -> str:
    """The key of a JSON value."""
    if isinstance(value, str):
        return _TEXT + _shortened(value)
    if value is None or isinstance(value, bool):
        return _NULL if value is None else _TRUE if value else _FALSE
    if isinstance(value, (int, float)):
        return _NUMBER + _sortable(value)
    return _OBJECT if isinstance(value, Mapping) else _ARRAY


def _shortened(value: str) -> str:
    short = value[:LONGEST].partition("\0")[0]  # some databases cannot store NUL in texts
    if not short.isascii():
        for at, character in enumerate(short):
            if "\ud800" <= character < _BEHIND_SURROGATES:  # UTF-8 cannot encode surrogates
                return short[:at] + _BEHIND_SURROGATES
    return short


def _sortable(number: float) -> str:
    """Encode a number as hexadecimal digits that sort numerically. Different large integers may
    get equal keys, but never keys in the wrong order.
    """
    try:
        double = float(number) + 0.0  # turns -0.0 into 0.0
    except OverflowError:
        double = float("inf") if number > 0 else float("-inf")
    bits = int.from_bytes(_DOUBLE.pack(double), "big")
    return f"{bits ^ (2 * _SIGN - 1) if bits & _SIGN else bits | _SIGN:016x}".rstrip("0")


@lru_cache(4096)
def _quoted(name: str) -> str:
    """Percent-encode a field's name as ASCII, without characters that are special in any
    database's paths (`.`, `$`, quotes, brackets, `/`). The encoding is injective.
    """
    return quote(name, safe="", errors="surrogatepass").replace(".", "%2E") or "%"


def path_text(path: Sequence[str]) -> str:
    """The stored form of a path."""
    return "/".join(map(_quoted, path))


# ---------------------------------------------------------------- conditions


def keys_for(condition: Condition) -> Keys | None:
    """The keys of all values that fulfil a condition; None: keys cannot express the condition, or
    its path has more than `DEEPEST` names.
    """
    path, op, operand, is_negated = condition
    if is_negated or len(path) > DEEPEST:
        return None
    if op == "$exists":
        return Keys(low=_NULL, high=_ARRAY)
    if op in (OBJECT, "$contains"):
        return Keys((_OBJECT if op == OBJECT else _ARRAY,))
    if op in ("$eq", "$in"):
        choices = [operand] if op == "$eq" else operand.given
        return Keys(tuple(dict.fromkeys(map(key_of, choices))))
    first, last = (_NUMBER, _BEHIND_NUMBERS) if is_number(operand) else (_TEXT, _BEHIND_TEXTS)
    key = key_of(operand)
    return Keys(low=key, high=last) if op in ("$gt", "$gte") else Keys(low=first, high=key)


def pushed_down(
    parts: Sequence[Part],
    clause: Callable[[str, Keys], T],
    any_of: Callable[[Sequence[Sequence[T]]], T],
) -> list[T]:
    """Translate a filter into database clauses, joined by AND. They select every item that fulfils
    all parts, and few others.

    Args:
        parts: the parts of the filter.
        clause: makes the clause for a path and its keys.
        any_of: joins alternatives by OR; each alternative is a list of clauses joined by AND.
    """
    found: list[T] = []
    for part in parts[:_MOST_PARTS]:
        if isinstance(part, Condition):
            if (keys := keys_for(part)) is not None:
                found.append(clause(path_text(part.path), keys))
        elif not part.is_any:
            found += pushed_down(part.parts, clause, any_of)
        elif len(part.parts) <= _MOST_PARTS:
            branches = [pushed_down([one], clause, any_of) for one in part.parts]
            if all(branches):
                found.append(any_of(branches))
    return found


# ---------------------------------------------------------------- declared fields


def declared_fields(index: Mapping[str, Any] | None, given: Any) -> tuple[str, ...]:
    """Parse `filter_fields=` or `index["filter_fields"]` into stored paths of fields to index.

    Raises:
        InvalidArgumentError: both are given, or it is not a list of names such as "status" or
            "user.age", or there are more than 32.
    """
    of_index = index.get("filter_fields") if isinstance(index, Mapping) else None
    if given is not None and of_index is not None:
        raise InvalidArgumentError("filter_fields: given twice, as index['filter_fields'] too")
    fields = of_index if given is None else given
    if fields is None:
        return ()
    if isinstance(fields, str) or not isinstance(fields, Sequence):
        raise InvalidArgumentError(f"filter_fields: wanted a list of names, got {fields!r:.80}")
    paths = dict.fromkeys(map(_declared, fields))
    if len(paths) > _MOST_FIELDS:
        raise InvalidArgumentError(
            f"filter_fields: wanted at most {_MOST_FIELDS} fields, got {len(paths)}"
        )
    return tuple(paths)


def _declared(field: Any) -> str:
    names = field.split(".") if isinstance(field, str) else [""]
    if not all(names) or len(names) > DEEPEST:
        raise InvalidArgumentError(
            "filter_fields: wanted names such as 'status', or 'user.age' of a field within an "
            f"object, at most {DEEPEST} deep, got {field!r:.80}"
        )
    return path_text(names)


def index_name(path: str) -> str:
    """The name of the index of a declared field."""
    return INDEXES + blake2b(path.encode(), digest_size=12).hexdigest()


def indexed(filter: Filter, declared: Sequence[str]) -> list[tuple[str, Keys]]:
    """The filter's top-level conditions on declared fields, joined by AND, as (path, keys)."""
    return [
        (path, keys)
        for part in filter.parts
        if isinstance(part, Condition)
        and (path := path_text(part.path)) in declared
        and (keys := keys_for(part)) is not None
    ]
