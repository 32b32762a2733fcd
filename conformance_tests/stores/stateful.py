"""A Hypothesis state machine, which compares random batches with the reference store.

Two stores are open on the database under test; each batch goes to one of them.
`CONFORMANCE_EXAMPLES` sets the number of sequences (default 30), which are the same in each run
unless `CONFORMANCE_RANDOM` is set. Failures are shrunk only if `CONFORMANCE_SHRINK` is set.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    SearchOp,
)

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.stores.base import Numbers, StoreClauses, index_of
from conformance_tests.stores.facade import StoreFacade, opened
from conformance_tests.stores.harness import StoreHarness
from conformance_tests.stores.model import ModelStore

SPACES = st.sampled_from([("a",), ("a", "1"), ("a", "10"), ("a", "1", "x"), ("b", "1"), ("\x01",)])
PREFIXES = st.sampled_from([(), ("a",), ("a", "1"), ("b",), ("c",)])
KEYS = st.sampled_from(["k1", "k2", "k3"])
# small integers, so that two cosines are equal or differ clearly
TEXTS = st.builds("{} {} {}".format, *[st.integers(-2, 2)] * 3)
FIELD = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "", "a", "b"])
LISTS = st.lists(FIELD, max_size=3)
VALUES = st.builds(
    lambda text, n, deep: {"text": text, "n": n, "in": {"deep": deep} if deep != [] else {}},
    TEXTS,
    FIELD | LISTS,
    FIELD | LISTS,
)
OPERATORS = st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$contains"])
LISTED = st.sampled_from(["$in", "$nin"])
COMPARED = st.one_of(
    FIELD,
    st.dictionaries(OPERATORS, FIELD, min_size=1, max_size=2),
    st.dictionaries(LISTED, LISTS, min_size=1, max_size=2),
    st.builds(lambda wanted: {"$exists": wanted}, st.booleans()),
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A strategy for `$and`, `$or` and `$not` of parts."""
    several = st.lists(inner, max_size=3)
    return (
        st.builds(lambda parts: {"$or": parts}, several)
        | st.builds(lambda parts: {"$and": parts}, several)
        | st.builds(lambda part: {"$not": part}, inner)
    )


WANTED = COMPARED | nested(COMPARED)
FIELDS = st.one_of(
    st.builds(lambda wanted: {"n": wanted}, WANTED),
    st.builds(lambda wanted, deep: {"n": wanted, "in": {"deep": deep}}, WANTED, WANTED),
)


@st.composite  # for a short repr: that of the whole strategy would be 30 kB
def filters(draw: st.DrawFn) -> dict[str, Any] | None:
    """A filter, or None."""
    return draw(st.none() | FIELDS | nested(FIELDS))


FILTERS = filters()
TTLS = st.sampled_from([None, None, 0.5, 2.0])
PUTS = st.builds(
    PutOp,
    SPACES,
    KEYS,
    st.none() | VALUES,
    st.sampled_from([None, None, False, ["text"], ["none"], ["text", "also"]]),
    TTLS,
)
SEARCHES = st.builds(
    SearchOp,
    PREFIXES,
    FILTERS,
    st.integers(0, 8),
    st.integers(0, 4),
    st.none() | TEXTS,
    st.booleans(),
)
PATHS = st.lists(st.sampled_from(["a", "1", "x", "*"]), min_size=1, max_size=2).map(tuple)
CONDITIONS = st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), PATHS)
LISTINGS = st.builds(
    ListNamespacesOp,
    st.lists(CONDITIONS, max_size=2).map(tuple),
    st.none() | st.integers(1, 3),
    st.integers(0, 5),
    st.integers(0, 3),
)
GETS = st.builds(GetOp, SPACES, KEYS, st.booleans())
BATCHES = st.lists(PUTS | PUTS | GETS | SEARCHES | LISTINGS, min_size=1, max_size=8)


class StoreMachine(RuleBasedStateMachine):
    """Runs the same batches on the stores under test and on the reference."""

    def __init__(self, harness: StoreHarness, flavour: Flavour, **of_one: Any) -> None:
        super().__init__()
        self.harness, self.flavour = harness, flavour
        self.of_one = of_one  # options of the first store
        self.stack = ExitStack()
        self.now = 0.0
        self.model = ModelStore(lambda: self.now, Numbers())
        self.stores: list[StoreFacade] = []
        self.open()
        self.start = self.time()

    def open(self) -> None:
        """Open both stores on the same database."""
        options = {
            "index": index_of(self.harness, Numbers()),
            "ttl": {"omit_expired": True},
        }
        self.stores = [
            self.stack.enter_context(opened(self.harness, self.flavour, **options, **more))
            for more in (self.of_one, {})
        ]
        self.used = False

    def time(self) -> float:
        """The time of the harness's clock, read from an item."""
        store = self.stores[0]
        store.put(("clock",), "now", {})
        item = store.get(("clock",), "now")
        store.delete(("clock",), "now")
        assert item is not None
        return item.created_at.timestamp()

    @rule(who=st.integers(0, 1), ops=BATCHES)
    def batch(self, who: int, ops: list[Op]) -> None:
        self.used = True
        got = [self.plain(result) for result in self.stores[who].batch(ops)]
        assert got == self.model.batch(ops)

    # A single rule, so that batches are more frequent: opening a store is slow.
    @rule(who=st.integers(0, 1), what=st.sampled_from([0.1, 0.5, 1.0, 3.0, "sweep", "reopen"]))
    def change(self, who: int, what: float | str) -> None:
        """Advance the clock by minutes, sweep, or reopen both stores."""
        if what == "sweep":
            assert self.stores[who].sweep_ttl() == self.model.sweep()
        elif what == "reopen":
            self.reopen()
        else:
            self.harness.advance(float(what) * 60)
            self.now += float(what) * 60

    def reopen(self) -> None:
        if self.used:
            self.stack.close()
            self.open()

    def plain(self, result: Any) -> Any:
        """Convert a result to the form of the reference's results."""
        if isinstance(result, Item):
            created, updated = (
                round(moment.timestamp() - self.start, 3)
                for moment in (result.created_at, result.updated_at)
            )
            value = json.dumps(result.value)
            return result.namespace, result.key, value, created, updated
        if isinstance(result, list):
            return [self.plain(one) for one in result]
        return result

    def teardown(self) -> None:
        """Delete everything, and check that no row is left."""
        try:
            store = self.stores[0]
            found = store.search((), limit=1000, refresh_ttl=False)
            shown = [(item.namespace, item.key) for item in found]
            assert sorted(shown) == sorted(self.model.shown())
            store.batch([PutOp(*name, None) for name in self.model.items])
            assert dict(self.harness.rows()) == {"items": 0, "vectors": 0}
        finally:
            self.stack.close()


def answers_as_a_dict(examples: int, machine: Callable[[], StoreMachine]) -> None:
    """Run `examples` sequences, or as many as `CONFORMANCE_EXAMPLES` says."""
    budget = settings(
        max_examples=int(os.environ.get("CONFORMANCE_EXAMPLES", examples)),
        stateful_step_count=25,
        derandomize="CONFORMANCE_RANDOM" not in os.environ,
        phases=list(Phase) if "CONFORMANCE_SHRINK" in os.environ else [Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    made: Any = machine  # Hypothesis's annotation of the argument is wrong
    run_state_machine_as_test(made, settings=budget)


@clauses_of(Capability.STORE_MODEL)
class StoreModelClauses(StoreClauses):
    """Clauses about sequences of batches.

    Attributes:
        examples: Number of sequences.
    """

    examples: ClassVar[int] = 30

    def test_model_random_batches(self, harness: StoreHarness, flavour: Flavour) -> None:
        """Random batches of puts, deletes, gets, searches and lists, with expiry and sweeps, on two
        stores give the same results as the reference store."""
        answers_as_a_dict(self.examples, lambda: StoreMachine(harness, flavour))


@clauses_of(Capability.STORE_FILTER_FIELDS)
class StoreFieldModelClauses(StoreClauses):
    """Clauses about sequences of batches, where one of two stores declares fields.

    Attributes:
        field_examples: Number of sequences.
    """

    field_examples: ClassVar[int] = 20

    def test_filter_fields_random_batches(self, harness: StoreHarness, flavour: Flavour) -> None:
        """If only one of two stores declares filter fields, as during a deployment, both give the
        same results."""
        fields = ["n", "in.deep"]
        answers_as_a_dict(
            self.field_examples, lambda: StoreMachine(harness, flavour, filter_fields=fields)
        )
