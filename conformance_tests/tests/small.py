"""A saver and a store as strangers write them first: four methods, and a harness of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from conformance_tests import Capability, Gap, SaverHarness, StoreHarness
from conformance_tests.contract.gaps import Gaps


class SmallSaver(InMemorySaver):
    """Writes, reads and lists, and does nothing else; sync only."""

    delete_thread = BaseCheckpointSaver.delete_thread
    get_delta_channel_history = BaseCheckpointSaver.get_delta_channel_history
    aput = BaseCheckpointSaver.aput
    aput_writes = BaseCheckpointSaver.aput_writes
    aget_tuple = BaseCheckpointSaver.aget_tuple
    alist = BaseCheckpointSaver.alist
    adelete_thread = BaseCheckpointSaver.adelete_thread
    aget_delta_channel_history = BaseCheckpointSaver.aget_delta_channel_history


class SmallHarness(SaverHarness):
    def __init__(self) -> None:
        self.saver = SmallSaver()

    @contextmanager
    def open(self) -> Iterator[SmallSaver]:
        yield self.saver


class RefusesToPrune(SmallSaver):
    """Says so itself, and is asked for it by nobody else."""

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        raise NotImplementedError(f"{strategy} of {thread_ids}")


class RefusingHarness(SmallHarness):
    def __init__(self) -> None:
        self.saver = RefusesToPrune()


class ForgetsTheOthers(SmallSaver):
    """Lists the newest one only."""

    def list(self, config: Any, **options: Any) -> Any:
        given = options.pop("limit", None)
        return super().list(config, limit=1 if given is None else min(given, 1), **options)


class ForgetfulHarness(SmallHarness):
    """With a gap for each clause that fails, and one for a clause that does not."""

    gaps: ClassVar[Gaps] = {
        "saver.list.before": Gap("one is enough", "https://example.org/issues/1"),
        "saver.list.newest_first": "one is enough",
    }

    def __init__(self) -> None:
        self.saver = ForgetsTheOthers()


class WhollyForgetfulHarness(ForgetfulHarness):
    gaps: ClassVar[Gaps] = {Capability.LIST: "one is enough"}


class UndeclaredHarness(ForgetfulHarness):
    gaps: ClassVar[Gaps] = {}


class SmallStoreHarness(StoreHarness):
    gaps: ClassVar[Gaps] = {
        "store.items.created_at_survives_an_update": Gap(
            "it is reset", "https://github.com/langchain-ai/langgraph/issues/8340"
        )
    }

    def __init__(self) -> None:
        self.store = InMemoryStore()

    @contextmanager
    def open(self) -> Iterator[InMemoryStore]:
        yield self.store
