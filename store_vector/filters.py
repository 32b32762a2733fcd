"""Filters of `search`. One meaning on all backends: what they pre-select is checked here again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.filters import json_equal
from store_vector.values import PLAIN, offence

_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}
OPERATORS: Final = ("$eq", "$ne", *_ORDER)
OBJECT: Final = "$object"
"""The `op` of a condition that only wants an object there, which `{}` in a filter means."""
_LOGIC: Final = frozenset({"$and", "$or", "$nor", "$not"})


class Condition(NamedTuple):
    """What must hold of one field.

    Attributes:
        path: the field's name, and those within it. Never empty.
        op: one of `OPERATORS`, or `OBJECT`.
        operand: JSON.
    """

    path: tuple[str, ...]
    op: str
    operand: Any

    def holds(self, value: Any) -> bool:
        """Whether the condition holds of an item's value."""
        for name in self.path:
            if not (type(value) is dict or isinstance(value, Mapping)) or name not in value:
                return False  # a missing field matches nothing, not even $ne
            value = value[name]
        if self.op == "$eq":
            return json_equal(value, self.operand)
        if self.op == "$ne":
            return not json_equal(value, self.operand)
        if self.op == OBJECT:
            return isinstance(value, Mapping)
        comparable = (is_number(value) and is_number(self.operand)) or (
            isinstance(value, str) and isinstance(self.operand, str)
        )
        return comparable and _ORDER[self.op](value, self.operand)


def is_number(value: Any) -> bool:
    """Whether JSON calls it a number: True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Filter:
    """Conditions that must all hold. False when there are none."""

    conditions: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, wanted: Mapping[str, Any] | None) -> Filter:
        """Read the `filter` of a search.

        Raises:
            InvalidArgumentError: an unknown operator, or something that is no JSON.
        """
        if wanted is None:
            return NO_FILTER
        if not isinstance(wanted, Mapping):
            raise InvalidArgumentError(f"filter: wanted a dict, got {wanted!r:.80}")
        if logic := sorted(_LOGIC.intersection(wanted)):
            raise InvalidArgumentError(
                f"filter: {logic[0]!r} is not supported; conditions are combined with AND"
            )
        return cls(tuple(_conditions((), wanted)))

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def matches(self, value: Mapping[str, Any]) -> bool:
        """Whether an item's value is wanted."""
        if len(self.conditions) == 1:
            return self.conditions[0].holds(value)
        return all(condition.holds(value) for condition in self.conditions)


NO_FILTER: Final = Filter()
"""What a search has that wants everything."""


def _conditions(path: tuple[str, ...], wanted: Mapping[str, Any]) -> list[Condition]:
    found: list[Condition] = []
    for name, operand in wanted.items():
        if not isinstance(name, str):
            raise InvalidArgumentError(f"filter: wanted names that are strings, got {name!r:.80}")
        found += _of_field((*path, name), operand)
    return found


def _of_field(path: tuple[str, ...], wanted: Any) -> list[Condition]:
    if not isinstance(wanted, Mapping):
        return [_condition(path, "$eq", wanted)]
    if not any(isinstance(name, str) and name.startswith("$") for name in wanted):
        return _conditions(path, wanted) if wanted else [Condition(path, OBJECT, None)]
    if unknown := [name for name in wanted if name not in OPERATORS]:
        raise InvalidArgumentError(
            f"filter: unknown operator {unknown[0]!r} for {'.'.join(path)!r}, "
            f"known are {', '.join(OPERATORS)}"
        )
    return [_condition(path, op, operand) for op, operand in wanted.items()]


def _condition(path: tuple[str, ...], op: str, operand: Any) -> Condition:
    if type(operand) in PLAIN:
        return Condition(path, op, operand)
    # NaN and infinity are no JSON, but what they are compared with is clear
    if not isinstance(operand, float) and (problem := offence(operand)):
        raise InvalidArgumentError(f"filter: wanted JSON for {'.'.join(path)!r}, got {problem}")
    return Condition(path, op, operand)
