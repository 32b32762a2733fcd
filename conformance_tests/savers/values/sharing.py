"""Clauses about deduplication: of a growing value, only new parts are stored."""

from __future__ import annotations

import random

from langchain_core.messages import AnyMessage, HumanMessage

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import Chain, on, values
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import SaverClauses

TURNS = 100


def said(turn: int, size: int = 1000) -> str:
    """A message of `size` characters of random text, deterministic for `turn`."""
    dice = random.Random(turn)
    return " ".join(f"{dice.randrange(10**9):x}" for _ in range(size // 8))


@clauses_of(Capability.SHARING)
class SharingClauses(SaverClauses):
    """Clauses about large values with common parts."""

    def test_sharing_growing_list_of_messages(self, saver: Facade, harness: SaverHarness) -> None:
        """LangGraph passes the whole list of messages at each step. 100 turns stored whole take 50
        times the size of the last list; they must take less than 5 times, metadata included."""
        chain, messages = Chain(saver), list[AnyMessage]()
        for turn in range(TURNS):
            messages.append(HumanMessage(said(turn), id=f"message {turn}"))
            chain.put({"messages": list(messages)})
        final = len(saver.raw.serde.dumps_typed(messages)[1])
        stored = len(harness.stored())
        assert final < stored < 5 * final, f"{stored} bytes for a final value of {final}"
        found = list(saver.list(on(chain.thread_id)))
        for each, length in zip(found, range(TURNS, 0, -1), strict=True):
            assert values(each)["messages"] == messages[:length]

    def test_sharing_change_in_the_middle(self, saver: Facade) -> None:
        """An edit in the middle of a large value, which moves the rest, is stored as a small
        change."""
        parts = [said(n) for n in range(60)]
        chain = Chain(saver)
        chain.put({"parts": list(parts)})
        before = saver.stats(chain.thread_id)["bytes"]
        for n in range(20):
            parts[3 * n] = parts[3 * n][:400] + f"edit {n}" + parts[3 * n][450:]
            chain.put({"parts": list(parts)})
        grown = saver.stats(chain.thread_id)["bytes"] - before
        assert grown < 5 * before, f"20 small edits of {before} bytes stored {grown}"
        assert values(saver.get_tuple(chain.head))["parts"] == parts

    def test_sharing_the_same_value_again(self, saver: Facade) -> None:
        """An equal value in another channel, version or namespace of the thread is not stored
        again."""
        chain = Chain(saver)
        text = said(1, 200_000)
        chain.put({"a": text})
        before = saver.stats(chain.thread_id)["bytes"]
        chain.put({"b": text})
        chain.put({"a": text + "."})
        sub = Chain(saver, chain.thread_id, "sub:1")
        sub.put({"a": text})
        assert saver.stats(chain.thread_id)["bytes"] < 1.3 * before
        assert values(sub.saver.get_tuple(sub.head)) == {"a": text}

    def test_sharing_what_begins_to_grow(self, saver: Facade) -> None:
        """A saver may stop deduplicating a channel that is replaced at each step, but must resume
        when its value begins to grow."""
        chain = Chain(saver)
        for turn in range(10):
            text = said(turn, 20_000)
            chain.put({"a": text})
        before = saver.stats(chain.thread_id)["bytes"]
        for turn in range(10, 40):
            text += said(turn)
            chain.put({"a": text})
        grown = saver.stats(chain.thread_id)["bytes"] - before
        assert grown < 5 * len(text), f"30 small additions to {len(text)} bytes stored {grown}"
        assert values(saver.get_tuple(chain.head)) == {"a": text}
