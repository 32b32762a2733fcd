"""Fields of items as texts that sort as filters compare: what databases compare, and index.

Beside its value each item has its *filter keys*: for each field, also of those within objects, the
path and the key of what is there. A key is a mark of the type, then the value: a number as the
digits of a double that sort as numbers do, a text by its first characters. If a < b, then
key(a) <= key(b), and equal values have equal keys. So a condition is some keys, or a range of them,
which has all that matches and little else: `Filter.matches` decides.
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
"""Characters of a text that are in its key."""
DEEPEST: Final = 8
"""How many names a path has at most."""
INDEXES: Final = "store_field_"
"""What the names of the indexes of declared fields begin with, where indexes have names."""
_MOST_FIELDS: Final = 32
_MOST_PARTS: Final = 100
"""Conditions of an AND or an OR that a database is asked for; it evaluates them recursively."""
_NULL, _FALSE, _TRUE, _NUMBER, _BEHIND_NUMBERS, _TEXT, _BEHIND_TEXTS, _OBJECT, _ARRAY = "012345678"
_BEHIND_SURROGATES: Final = "\ue000"
_DOUBLE: Final = struct.Struct(">d")
_SIGN: Final = 1 << 63

T = TypeVar("T")


class Keys(NamedTuple):
    """The keys of all that fulfils a condition: `points` if there are any, else from `low` to
    `high`, both included.
    """

    points: tuple[str, ...] = ()
    low: str = ""
    high: str = ""


# ---------------------------------------------------------------- keys of values


def filter_keys(value: Mapping[str, Any]) -> dict[str, str]:
    """The filter keys of an item: path -> key. Those of objects and arrays only say that one is
    there.
    """
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
    short = value[:LONGEST].partition("\0")[0]  # databases keep no NUL in texts
    if not short.isascii():
        for at, character in enumerate(short):
            if "\ud800" <= character < _BEHIND_SURROGATES:  # and UTF-8 has no surrogates
                return short[:at] + _BEHIND_SURROGATES
    return short


def _sortable(number: float) -> str:
    """Hexadecimal digits that sort as numbers do. Large integers may become equal, but are never
    turned round.
    """
    try:
        double = float(number) + 0.0  # -0.0 is 0.0
    except OverflowError:
        double = float("inf") if number > 0 else float("-inf")
    bits = int.from_bytes(_DOUBLE.pack(double), "big")
    return f"{bits ^ (2 * _SIGN - 1) if bits & _SIGN else bits | _SIGN:016x}".rstrip("0")


@lru_cache(4096)
def _quoted(name: str) -> str:
    """A field's name in a path, in ASCII without any character that means something in a path of
    any database (`.`, `$`, quotes, brackets, `/`). Different names stay different.
    """
    return quote(name, safe="", errors="surrogatepass").replace(".", "%2E") or "%"


def path_text(path: Sequence[str]) -> str:
    """A path as it is stored."""
    return "/".join(map(_quoted, path))


# ---------------------------------------------------------------- conditions


def keys_for(condition: Condition) -> Keys | None:
    """The keys of all that fulfils a condition; None: keys do not say, or the path is too long."""
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
    """Clauses for a database that hold of every item that fulfils all parts, and of few others.

    Args:
        parts: of a filter.
        clause: makes the clause of a path and its keys.
        any_of: makes one of alternatives, each of which is clauses that must all hold.
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
    """The paths of fields that are to have an index, of `filter_fields=` or of
    `index["filter_fields"]`, as they are stored.

    Raises:
        InvalidArgumentError: both are given; it is no list of names such as "status" or "user.age".
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
    """The declared fields that a filter has conditions on, which must all hold."""
    return [
        (path, keys)
        for part in filter.parts
        if isinstance(part, Condition)
        and (path := path_text(part.path)) in declared
        and (keys := keys_for(part)) is not None
    ]
