"""Filters beside a model of what they mean, while items come, change and go."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st
from langgraph.store.base import BaseStore, Op, PutOp

from conformance_tests import MovableClock
from conformance_tests.samples.corpus import HOSTILE
from store_vector.filters.keys import LONGEST
from store_vector.filters.operators import OPERATORS, Filter
from store_vector.shell import SyncStore

Place = tuple[tuple[str, ...], str]

AT = ("n",)
WITHIN: list[tuple[str, ...]] = [(), ("n",), ("n", "a")]
FILTERS: list[dict[str, Any]] = [
    {"n": {"$lt": 3}},
    {"n": {"$gte": 40}},
    {"n": 7, "in": {"kind": "k1"}},
    {"in": {"kind": "k2"}},
    {"in": {"kind": {"$gt": "k3"}}},
    {"text": "x" * 200 + "7"},
    {"mixed": True},
    {"mixed": None},
    {"mixed": 1},
    {"mixed": {"$contains": 1}},
    {"n": {"$in": [1, 2, "7"]}, "mixed": {"$ne": None}},
    {"$or": [{"n": {"$gte": 48}}, {"in": {"kind": "k3"}}]},
    {"in": {"kind": {"$exists": False}}, "$not": {"n": {"$lt": 20}}},
]
FIELDS = ["n", "in.kind", "text", "mixed"]
"""Fields that FILTERS ask for."""

SCALARS: list[Any] = [
    *(None, True, False, 0, -0.0, 1, -1, 0.1, 0.1 + 0.2, -2.5, 1e300, -1e-300),
    *(2**53 - 1, 2**53, 2**53 + 1, 2.0**53, -(2**53) - 1, 2**64, 10**30, 1e30, 10**400, -(10**400)),
    *("", "a", "ab", "b", "a\0", "a\0b", "a\x01", "é", "\ue000", "\U0001f600", "0", "true"),
    *(
        "x" * 63,
        "x" * 64,
        "x" * 64 + "a",
        "x" * 64 + "b",
        "x" * 62 + "\0b",
        "é" * 40,
        "é" * 40 + "a",
    ),
]
SURROGATES: list[Any] = ["\ud800", "a\ud800", "\udfff\0", "x" * 70 + "\ud800"]
OTHERS: list[Any] = [[], [1], {}, {"n": 1}]


def check_operators(store: BaseStore, field: str, values: list[Any]) -> None:
    """All operators with all operands, over an item for each value."""
    items: dict[str, dict[str, Any]] = {f"{n:03}": {field: one} for n, one in enumerate(values)}
    store.batch([PutOp(AT, key, value) for key, value in items.items()])
    for operand in SCALARS + SURROGATES:
        for op in OPERATORS:
            given = [operand, 1] if op in ("$in", "$nin") else op == "$exists" or operand
            wanted = Filter.of({field: {op: given}})
            expected = [key for key, value in items.items() if wanted.matches(value)]
            found = store.search(AT, filter={field: {op: given}}, limit=len(values))
            assert [item.key for item in found] == expected, (op, given)


def check_while_items_change(store: SyncStore, clock: MovableClock, steps: int = 150) -> None:
    """Puts, updates, deletes and sweeps, and a search after each."""
    dice = random.Random(5)
    model: dict[Place, tuple[float, dict[str, Any]]] = {}
    for step in range(steps):
        clock.now += 1.0
        ops: list[Op] = []
        for number in {dice.randrange(120) for _ in range(4)}:
            name: Place = (("n", "ab"[number % 2]), f"{number}")
            value = None if dice.random() < 0.2 else _value(dice)
            is_short = value is not None and dice.random() < 0.05
            ops.append(PutOp(name[0], name[1], value, ttl=0.2 if is_short else None))
            model.pop(name, None)
            if value is not None and not is_short:
                model[name] = (clock.now, value)
        store.batch(ops)
        clock.now += 60.0
        store.sweep_ttl()
        wanted, within, offset = dice.choice(FILTERS), dice.choice(WITHIN), step % 3
        matching = [
            (-at, name)
            for name, (at, value) in model.items()
            if name[0][: len(within)] == within and Filter.of(wanted).matches(value)
        ]
        found = store.search(within, filter=wanted, limit=7, offset=offset)
        expected = [name for _, name in sorted(matching)[offset : offset + 7]]
        assert [(item.namespace, item.key) for item in found] == expected, (step, wanted)


def _value(dice: random.Random) -> dict[str, Any]:
    """Something for each of FILTERS."""
    return {
        "n": dice.choice([dice.randrange(50), float(dice.randrange(50)), "7"]),
        "in": dice.choice([{"kind": f"k{dice.randrange(6)}"}, {}, 7]),
        "text": "x" * 200 + f"{dice.randrange(9)}",
        "mixed": dice.choice([True, 1, None, [1], {"n": 1}]),
    }


NAMES = st.sampled_from(
    ["n", "a.b", "with space", 'q"', "\\", "é", "", "[0]", "'", "a/b", "%", "\ud800", "\0"]
)
NUMBERS = (
    st.sampled_from([0, -0.0, 7, 7.0, 0.1, 0.1 + 0.2, 2**53 + 1, 2.0**53, 10**30, 1e30, 10**400])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
)
TEXTS = (
    st.sampled_from([*HOSTILE, "\x7f", "\0", "\ud800", "é\ud800", "a\0b", "\ue000", "x" * 65])
    | st.text(max_size=4)
    | st.text("ab\0\ud800\ue000é", min_size=LONGEST - 1, max_size=LONGEST + 2)
)
ATOMS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def items_and_filters(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """An item, and a filter that often matches it."""
    name, value, other = draw(NAMES), draw(VALUES), draw(VALUES)
    operand = draw(st.just(value) | st.just(other) | ATOMS | st.floats())
    op = draw(st.sampled_from(OPERATORS))
    if op in ("$in", "$nin"):
        operand = [operand, *draw(st.lists(ATOMS, max_size=2))]
    elif op == "$exists":
        operand = draw(st.booleans())
    wanted: dict[str, Any] = {name: {op: operand}}
    if draw(st.booleans()):
        wanted = {"in": {"a": wanted}}
    another = {name: draw(ATOMS)}
    shapes: list[dict[str, Any]] = [
        wanted,
        {"$not": wanted},
        {"$or": [another, wanted]},
        {"$and": [wanted, {}]},
    ]
    shapes += [{"$not": {"$or": [wanted, another]}}, {"$or": [{"$not": another}, wanted]}]
    return {"other": other, name: value, "in": {"a": {name: value}}}, draw(st.sampled_from(shapes))
