"""Filters beside a model of what they mean, while items come, change and go."""

from __future__ import annotations

import random
from typing import Any

from langgraph.store.base import BaseStore, Op, PutOp

from conformance_tests import MovableClock
from store_vector.filters import OPERATORS, Filter
from store_vector.store import SyncStore

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
]
PATHS = 4
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
            wanted = Filter.of({field: {op: operand}})
            expected = [key for key, value in items.items() if wanted.matches(value)]
            found = store.search(AT, filter={field: {op: operand}}, limit=len(values))
            assert [item.key for item in found] == expected, (op, operand)


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
