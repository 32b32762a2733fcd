"""Filters of `search`: parsing and evaluation, with the same semantics on all backends.

A filter is a tree of AND, OR and conditions. The parser pushes `$not`, `$ne` and `$nin` down into
the conditions as negations. Databases only pre-select items by `filter_keys`; `Filter.matches`
makes the final decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.filters import json_equal
from store_vector.values import PLAIN, offence

OBJECT: Final = "$object"
"""The `op` of a condition that matches any object; a filter spells it `{}`."""
_LOGIC: Final = ("$and", "$or", "$not")
_DEEPEST: Final = 32
"""Maximum nesting of `$and`, `$or` and `$not`: databases evaluate them recursively."""


class Choices(NamedTuple):
    """The operand of `$in`: scalars in a hash set, arrays and objects in a list to compare with."""

    scalars: frozenset[tuple[bool, Any]]
    others: tuple[Any, ...]
    given: tuple[Any, ...]

    @classmethod
    def of(cls, given: tuple[Any, ...]) -> Choices:
        """Split a list into scalars and others."""
        is_scalar = [one is None or isinstance(one, (str, int, float)) for one in given]
        pairs = list(zip(given, is_scalar, strict=True))
        scalars = frozenset((isinstance(one, bool), one) for one, yes in pairs if yes)
        return cls(scalars, tuple(one for one, yes in pairs if not yes), given)

    def has(self, value: Any) -> bool:
        """Whether a JSON value equals one of the choices."""
        if isinstance(value, (dict, list, tuple)):
            return any(json_equal(value, one) for one in self.others)
        return (isinstance(value, bool), value) in self.scalars


def _ordered(compare: Callable[[Any, Any], bool], value: Any, operand: Any) -> bool:
    both_numbers = is_number(value) and is_number(operand)
    both_texts = isinstance(value, str) and isinstance(operand, str)
    return (both_numbers or both_texts) and compare(value, operand)


def _contains(value: Any, operand: Any) -> bool:
    return isinstance(value, list) and any(json_equal(one, operand) for one in value)


ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$gt": partial(_ordered, lambda a, b: a > b),
    "$gte": partial(_ordered, lambda a, b: a >= b),
    "$lt": partial(_ordered, lambda a, b: a < b),
    "$lte": partial(_ordered, lambda a, b: a <= b),
}
_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    **ORDER,
    "$eq": json_equal,
    "$in": lambda value, operand: operand.has(value),
    "$contains": _contains,
    "$exists": lambda value, operand: True,  # noqa: ARG005 (the field is there)
    OBJECT: lambda value, operand: isinstance(value, Mapping),  # noqa: ARG005
}
_OPPOSITES: Final[Mapping[str, str]] = {"$ne": "$eq", "$nin": "$in"}
OPERATORS: Final = ("$eq", "$ne", *ORDER, "$in", "$nin", "$exists", "$contains")
"""Operators of a field, without `$and`, `$or` and `$not`."""


class Condition(NamedTuple):
    """A condition on one field.

    Attributes:
        path: the names from the value's root to the field. Never empty.
        op: `$eq`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$exists`, `$contains` or `OBJECT`.
        operand: a JSON value; for `$in`, `Choices`; for `$exists` and `OBJECT`, None.
        is_negated: negates the condition. A missing field fulfils a negated condition.
    """

    path: tuple[str, ...]
    op: str
    operand: Any = None
    is_negated: bool = False

    def holds(self, value: Any) -> bool:
        """Whether an item's value fulfils the condition."""
        for name in self.path:
            if not (type(value) is dict or isinstance(value, Mapping)) or name not in value:
                return self.is_negated
            value = value[name]
        return _TESTS[self.op](value, self.operand) is not self.is_negated

    def negated(self) -> Condition:
        """The opposite condition."""
        return self._replace(is_negated=not self.is_negated)


class Group(NamedTuple):
    """Parts joined by OR (`is_any`) or AND. An empty AND is true, an empty OR is false."""

    is_any: bool
    parts: tuple[Condition | Group, ...]

    def holds(self, value: Any) -> bool:
        """Whether an item's value fulfils the group."""
        held = (part.holds(value) for part in self.parts)
        return any(held) if self.is_any else all(held)

    def negated(self) -> Group:
        """The opposite, by De Morgan's laws: not (a and b) is (not a) or (not b)."""
        return Group(not self.is_any, tuple(part.negated() for part in self.parts))


Part = Condition | Group
NOTHING: Final = Group(is_any=True, parts=())
"""Matches no item."""


def is_number(value: Any) -> bool:
    """Whether it is a JSON number; booleans are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Filter:
    """Parts joined by AND. Without parts, a filter matches every item, and is falsy."""

    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, wanted: Mapping[str, Any] | None) -> Filter:
        """Parse the `filter` argument of a search.

        Raises:
            InvalidArgumentError: an operator is unknown, or an operand is invalid.
        """
        if wanted is None:
            return NO_FILTER
        return cls(tuple(_of_object((), wanted, _DEEPEST)))

    def __bool__(self) -> bool:
        return bool(self.parts)

    def matches(self, value: Mapping[str, Any]) -> bool:
        """Whether an item's value fulfils the filter."""
        if len(self.parts) == 1:
            return self.parts[0].holds(value)
        return all(part.holds(value) for part in self.parts)


NO_FILTER: Final = Filter()
"""Matches every item."""


# ---------------------------------------------------------------- parsing


def _of_object(path: tuple[str, ...], wanted: Any, depth: int) -> Iterator[Part]:
    """Parse the conditions on the fields of an object; an empty path is the item's value itself."""
    if not isinstance(wanted, Mapping):
        raise InvalidArgumentError(f"filter: wanted a dict, got {wanted!r:.80}")
    for name, operand in wanted.items():
        if not isinstance(name, str):
            raise InvalidArgumentError(f"filter: wanted names that are strings, got {name!r:.80}")
        if not path and name in _LOGIC:
            yield _logic(path, name, operand, depth)
        elif not path and name == "$nor":  # not supported, and hardly the name of a field
            raise _unknown(name, path)
        else:
            yield from _of_field((*path, name), operand, depth)


def _of_field(path: tuple[str, ...], wanted: Any, depth: int) -> Iterator[Part]:
    """Parse the conditions on one field."""
    if not isinstance(wanted, Mapping):
        yield _condition(path, "$eq", wanted)
    elif not wanted:
        yield Condition(path, OBJECT)
    elif not any(isinstance(name, str) and name.startswith("$") for name in wanted):
        yield from _of_object(path, wanted, depth)
    else:
        for op, operand in wanted.items():
            if op in _LOGIC:
                yield _logic(path, op, operand, depth)
            elif op in OPERATORS:
                yield from _of_operator(path, op, operand)
            else:
                raise _unknown(op, path)


def _logic(path: tuple[str, ...], op: str, operand: Any, depth: int) -> Group:
    if not depth:
        raise InvalidArgumentError(f"filter: $and, $or, $not nested more than {_DEEPEST} deep")
    of = _of_field if path else _of_object
    if op == "$not":
        return Group(is_any=False, parts=tuple(of(path, operand, depth - 1))).negated()
    groups = (Group(False, tuple(of(path, one, depth - 1))) for one in _list(op, operand))  # noqa: FBT003
    return Group(is_any=op == "$or", parts=tuple(groups))


def _of_operator(path: tuple[str, ...], op: str, operand: Any) -> Iterator[Part]:
    if op == "$exists":
        if not isinstance(operand, bool):
            raise InvalidArgumentError(f"filter: $exists: wanted a bool, got {operand!r:.80}")
        yield Condition(path, op, None, not operand)
    elif op in _OPPOSITES:  # $ne and $nin only match where the field exists
        yield Condition(path, "$exists")
        yield from (one.negated() for one in _of_operator(path, _OPPOSITES[op], operand))
    elif op == "$in":
        choices = tuple(_condition(path, "$eq", one).operand for one in _list(op, operand))
        yield Condition(path, op, Choices.of(choices)) if choices else NOTHING
    elif op in ORDER and not (is_number(operand) or isinstance(operand, str)):
        _condition(path, op, operand)
        yield NOTHING  # only numbers and texts have an order
    else:
        yield _condition(path, op, operand)


def _list(op: str, operand: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(operand, (list, tuple)):
        raise InvalidArgumentError(f"filter: {op}: wanted a list, got {operand!r:.80}")
    return operand


def _condition(path: tuple[str, ...], op: str, operand: Any) -> Condition:
    # NaN and infinity are not JSON, but comparisons with them are well defined
    is_clear = type(operand) in PLAIN or isinstance(operand, float)
    if not is_clear and (problem := offence(operand)):
        raise InvalidArgumentError(f"filter: wanted JSON for {'.'.join(path)!r}, got {problem}")
    return Condition(path, op, operand)


def _unknown(op: Any, path: tuple[str, ...]) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"filter: unknown operator {op!r:.80} for {'.'.join(path)!r}, "
        f"known are {', '.join((*OPERATORS, *_LOGIC))}"
    )
