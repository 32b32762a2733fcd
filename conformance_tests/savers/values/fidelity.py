"""Clauses about fidelity: values are read back with their types, as from InMemorySaver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import RESUME

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    large,
    metadata,
    on,
    the,
    values,
    writes,
)
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.samples.values import COMMON, SPECIMENS, UNUSUAL
from conformance_tests.savers.base import SaverClauses


def reference(state: dict[str, Any]) -> dict[str, Any]:
    """These values as InMemorySaver returns them."""
    saver: InMemorySaver = InMemorySaver()
    body = checkpoint(state)
    stored = saver.put(on("reference"), body, metadata(), body["channel_versions"])
    return the(saver.get_tuple(stored)).checkpoint["channel_values"]


def assert_survives(saver: Facade, others: Mapping[str, Any], specimen: Any) -> None:
    """Fail unless a value is read back unchanged: alone, inside a large value, and as a write."""
    state = {"alone": specimen, "in a large one": {"text": large(), "x": [specimen]}}
    expected = reference({**others, **state})
    chain = Chain(saver)
    chain.put({**others, **state})
    chain.put({"step": 1})
    chain.write(*state.items(), (RESUME, specimen))
    found = saver.get_tuple(chain.head)
    assert_same({**expected, "step": 1}, values(found), "channel_values")
    written = [(RESUME, expected["alone"]), *((name, expected[name]) for name in state)]
    assert_same(written, [(channel, value) for _, channel, value in writes(found)], "writes")


@clauses_of(Capability.FIDELITY)
class FidelityClauses(SaverClauses):
    """Clauses about values."""

    @pytest.mark.parametrize("kind", COMMON)
    def test_fidelity_value_and_type_survive(self, saver: Facade, kind: str) -> None:
        """A value keeps its type: alone, inside a value large enough to be split, and as a write.
        A graph developed on InMemorySaver must not get another type in production."""
        assert_survives(saver, {}, SPECIMENS[kind])

    def test_fidelity_all_in_one_checkpoint(self, saver: Facade) -> None:
        """A state with values of all kinds is read back by `get_tuple` and by `list`."""
        expected = reference(COMMON)
        chain = Chain(saver)
        chain.put(COMMON)
        assert_same(expected, values(saver.get_tuple(chain.head)), "channel_values")
        listed = next(iter(saver.list(on(chain.thread_id))))
        assert_same(expected, values(listed), "channel_values")

    @pytest.mark.parametrize("kind", UNUSUAL)
    def test_fidelity_unusual_values_survive(self, saver: Facade, kind: str) -> None:
        """NaN, NUL in a text, an Enum that is a number: values are kept as by InMemorySaver, while
        LangGraph's SQL savers change them."""
        assert_survives(saver, SPECIMENS, SPECIMENS[kind])

    def test_fidelity_there_are_enough_kinds(self) -> None:
        """The sample values have at least 40 Python types."""
        assert len({type(specimen) for specimen in SPECIMENS.values()}) >= 40
