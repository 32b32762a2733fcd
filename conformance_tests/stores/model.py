"""The reference store: a short implementation on dicts, with which backends are compared."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.store.base import GetOp, ListNamespacesOp, Op, PutOp, SearchOp

from conformance_tests.stores.base import Numbers

Name = tuple[tuple[str, ...], str]
NUMBER = (int, float)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}

LOGIC = ("$and", "$or", "$not")


@dataclass
class ModelEntry:
    """An item of the reference store."""

    value: dict[str, Any]
    created: float
    updated: float
    expires: float | None
    ttl: float | None
    vectors: list[list[float]]


class ModelStore:
    """Runs batches on a dict. Expired items are hidden."""

    def __init__(self, clock: Callable[[], float], embed: Numbers) -> None:
        self.clock, self.embed = clock, embed
        self.items: dict[Name, ModelEntry] = {}

    def batch(self, ops: Iterable[Op]) -> list[Any]:
        """Run operations: reads on the state before the batch, then the last put of each key."""
        ops = list(ops)
        results = [self._read(op) for op in ops]
        puts = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
        for op in puts.values():
            self._put(op)
        return results

    def shown(self) -> dict[Name, ModelEntry]:
        """The items that have not expired."""
        now = self.clock()
        return {
            name: entry
            for name, entry in self.items.items()
            if entry.expires is None or entry.expires > now
        }

    def sweep(self) -> int:
        """Remove expired items; returns their number."""
        before, self.items = len(self.items), self.shown()
        return before - len(self.items)

    def _read(self, op: Op) -> Any:
        if isinstance(op, GetOp):
            entry = self.shown().get((op.namespace, op.key))
            return entry and self._given((op.namespace, op.key), entry, refresh=op.refresh_ttl)
        if isinstance(op, SearchOp):
            return self._search(op)
        if isinstance(op, ListNamespacesOp):
            return self._namespaces(op)
        return None

    def _given(self, name: Name, entry: ModelEntry, *, refresh: bool) -> tuple[Any, ...]:
        if refresh and entry.ttl is not None:
            entry.expires = self.clock() + entry.ttl * 60
        return (*name, json.dumps(entry.value), entry.created, entry.updated)

    def _put(self, op: PutOp) -> None:
        name, now = (op.namespace, op.key), self.clock()
        before = self.shown().get(name)
        self.items.pop(name, None)
        if op.value is None:
            return
        paths = ["text"] if op.index is None else op.index or []
        texts = [op.value[path] for path in paths if op.value.get(path)]
        self.items[name] = ModelEntry(
            value=dict(op.value),
            created=before.created if before else now,
            updated=now,
            expires=None if op.ttl is None else now + op.ttl * 60,
            ttl=op.ttl,
            vectors=[self.embed.vector(text) for text in texts],
        )

    def _search(self, op: SearchOp) -> list[tuple[Any, ...]]:
        prefix = op.namespace_prefix
        found = [
            (name, entry)
            for name, entry in self.shown().items()
            if name[0][: len(prefix)] == prefix and holds(entry.value, op.filter or {})
        ]
        if op.query is None:
            found.sort(key=lambda one: (-one[1].updated, one[0]))
        else:
            query = self.embed.vector(op.query)
            found = [one for one in found if one[1].vectors]
            found.sort(key=lambda one: (-best(one[1].vectors, query), one[0]))
        page = found[op.offset : op.offset + op.limit]
        return [self._given(*one, refresh=op.refresh_ttl) for one in page]

    def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        spaces = {
            space[: op.max_depth]
            for space, _ in self.shown()
            if all(fits(space, *condition) for condition in op.match_conditions or ())
        }
        return sorted(spaces)[op.offset : op.offset + op.limit]


def fits(space: Sequence[str], match_type: str, path: Sequence[str]) -> bool:
    """Whether a namespace fulfils a condition."""
    part = space[: len(path)] if match_type == "prefix" else space[len(space) - len(path) :]
    return len(space) >= len(path) and all(
        wanted in ("*", label) for wanted, label in zip(path, part, strict=True)
    )


def holds(value: Any, wanted: dict[str, Any]) -> bool:
    """Whether a value fulfils a filter."""
    return all(
        logic(name, condition, lambda part: holds(value, part))
        if name in LOGIC
        else field_holds(isinstance(value, dict), value, name, condition)
        for name, condition in wanted.items()
    )


def field_holds(is_object: bool, value: Any, name: str, condition: Any) -> bool:
    """Whether a field, which may be absent, fulfils a condition."""
    is_there = is_object and name in value
    return fulfils(is_there, value[name] if is_there else None, condition)


def fulfils(is_there: bool, found: Any, condition: Any) -> bool:
    """Whether a field's value, if it exists, fulfils a condition."""
    if not isinstance(condition, dict):
        return is_there and equal(found, condition)
    if not any(op.startswith("$") for op in condition):
        if not condition:
            return is_there and isinstance(found, dict)
        is_object = is_there and isinstance(found, dict)
        return all(field_holds(is_object, found, *one) for one in condition.items())
    return all(
        logic(op, operand, lambda part: fulfils(is_there, found, part))
        if op in LOGIC
        else operand is is_there
        if op == "$exists"
        else is_there and compare(found, op, operand)
        for op, operand in condition.items()
    )


def logic(op: str, operand: Any, is_true: Callable[[Any], bool]) -> bool:
    """Evaluate `$and`, `$or` or `$not`."""
    if op == "$not":
        return not is_true(operand)
    return (any if op == "$or" else all)(is_true(part) for part in operand)


def compare(found: Any, op: str, operand: Any) -> bool:
    """Whether a field's value fulfils an operator."""
    if op in ("$eq", "$ne"):
        return equal(found, operand) == (op == "$eq")
    if op in ("$in", "$nin"):
        return any(equal(found, one) for one in operand) == (op == "$in")
    if op == "$contains":
        return isinstance(found, list) and any(equal(one, operand) for one in found)
    numbers = all(isinstance(one, NUMBER) and not isinstance(one, bool) for one in (found, operand))
    texts = isinstance(found, str) and isinstance(operand, str)
    return (numbers or texts) and COMPARE[op](found, operand)


def equal(found: Any, operand: Any) -> bool:
    """Equality of JSON values that are not objects: 1 equals 1.0, but not true."""
    if isinstance(found, list) and isinstance(operand, list):
        return len(found) == len(operand) and all(map(equal, found, operand))
    return isinstance(found, bool) == isinstance(operand, bool) and bool(found == operand)


def best(vectors: list[list[float]], query: list[float]) -> float:
    """The cosine of the best vector, rounded, so that rounding errors do not break ties."""
    return max(round(cosine(vector, query), 9) for vector in vectors)


def cosine(a: list[float], b: list[float]) -> float:
    """The cosine of two vectors; 0 for a zero vector."""
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0
