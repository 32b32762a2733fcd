"""Savers that find threads wrongly."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.types import INTERRUPT

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.memory.planner import MemoryPlanner
from checkpoint_base.memory.thread import MemoryThread
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import BASE_METADATA, Codec
from checkpoint_base.saver.planner import HeadPage, HeadQuery, ThreadHead
from checkpoint_base.saver.records.kinds import CheckpointRecord, ThreadPage
from checkpoint_sqlite import SqliteSaver
from conformance_tests.tests.mutants.reading import sqlite
from conformance_tests.tests.mutants.registry import mutant
from conformance_tests.tests.mutants.writing import saver


class _Changed(MemoryPlanner):
    """Changes each head that `list_heads` returns."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        page = yield from super().list_heads(query)
        return page._replace(heads=[self._changed(head, query) for head in page.heads])

    @abstractmethod
    def _changed(self, head: ThreadHead, query: HeadQuery) -> ThreadHead: ...


class _OtherCheckpoint(_Changed):
    """Takes another checkpoint for a thread's newest one."""

    def _changed(self, head: ThreadHead, query: HeadQuery) -> ThreadHead:
        return head._replace(checkpoint=self._chosen(self.threads[head.thread_id]))

    @abstractmethod
    def _chosen(self, thread: MemoryThread) -> CheckpointRecord | None: ...


class _OtherMetadata(_Changed):
    """Changes the metadata that is read."""

    def _changed(self, head: ThreadHead, query: HeadQuery) -> ThreadHead:
        if head.checkpoint is None:
            return head
        stored = json.loads(head.checkpoint.metadata)
        text = json.dumps(self._told(stored))
        return head._replace(checkpoint=head.checkpoint._replace(metadata=text))

    @abstractmethod
    def _told(self, stored: dict[str, Any]) -> dict[str, Any]: ...


@saver("saver.find_threads.by_metadata")
class KnowsOnlyLangGraphsEntries(_OtherMetadata):
    """Threads have only the metadata that LangGraph itself writes."""

    def _told(self, stored: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in stored.items() if key in BASE_METADATA}


@saver("saver.find_threads.by_the_newest_checkpoint")
class FindsByTheFirstCheckpoint(_OtherCheckpoint):
    """A thread's metadata is that of its first checkpoint."""

    def _chosen(self, thread: MemoryThread) -> CheckpointRecord | None:
        own = [key for key in thread.checkpoints if not key[0]]
        return thread.checkpoints[min(own)][0] if own else None


@saver("saver.find_threads.by_the_root_namespace")
class FindsByAnyNamespace(_OtherCheckpoint):
    """A thread's metadata is that of its newest checkpoint, of whatever namespace."""

    def _chosen(self, thread: MemoryThread) -> CheckpointRecord | None:
        newest = max(thread.checkpoints, key=lambda key: key[1], default=None)
        return thread.checkpoints[newest][0] if newest else None


@saver("saver.find_threads.different_json_values")
class TrueIsOne(_OtherMetadata):
    """True is kept as 1, as in an index of a database without booleans."""

    def _told(self, stored: dict[str, Any]) -> dict[str, Any]:
        return {key: int(each) if each is True else each for key, each in stored.items()}


@saver("saver.find_threads.equal_json_values")
class ComparesText(_Changed):
    """The text of an entry decides, so 1 is not 1.0."""

    def _changed(self, head: ThreadHead, query: HeadQuery) -> ThreadHead:
        text = "" if head.checkpoint is None else head.checkpoint.metadata.replace("}", ",")
        if all(f"{term}," in text for term in query.terms):
            return head
        return head._replace(checkpoint=None, channels=())


@saver("saver.find_threads.with_encrypted_metadata")
class LooksAtPlainMetadata(_Changed):
    """Entries that are encrypted are not looked at."""

    def _changed(self, head: ThreadHead, query: HeadQuery) -> ThreadHead:
        if head.checkpoint is None:
            return head
        return head._replace(checkpoint=head.checkpoint._replace(sealed=None))


@saver("saver.find_threads.by_status")
class AnswersAreNotSeen(_Changed):
    """A task that had a question counts as open, whatever it has written since."""

    def _changed(self, head: ThreadHead, query: HeadQuery) -> ThreadHead:
        special = [each for each in head.channels if each[1] in WRITES_IDX_MAP]
        return head._replace(channels=special)


@saver("saver.find_threads.without_a_root_checkpoint")
class OnlyThreadsWithACheckpoint(MemoryPlanner):
    """A thread without a root checkpoint is not found, as by an inner join."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        page = yield from super().list_heads(query)
        return page._replace(heads=[head for head in page.heads if head.checkpoint])


@saver("saver.find_threads.in_pages")
class LooksOnByTimeAlone(MemoryPlanner):
    """A look begins after the time of the last thread: others of that moment are lost."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        if query.position is not None:
            query = replace(query, updated_before=query.position[0], cursor=None)
        return (yield from super().list_heads(query))


@saver("saver.find_threads.with_prefix_and_times")
class NoLowerBound(MemoryPlanner):
    """`updated_after` does not count beside a filter."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        return (yield from super().list_heads(replace(query, updated_after=None)))


@saver("saver.find_threads.not_the_expired")
class FindsTheExpired(MemoryPlanner):
    """Expired threads are found until they are swept."""

    def _heads(self, query: HeadQuery) -> list[ThreadHead]:  # type: ignore[override]
        for thread in self.threads.values():
            thread.expires = None
        return super()._heads(query)


@saver("saver.find_threads.counts")
class LooksOnce(MemoryPlanner):
    """A look at 100 threads says that no others follow."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        page = yield from super().list_heads(replace(query, limit=100))
        return page._replace(cursor=None)


@saver("saver.find_threads.deletes")
class DeletesTheRoot(MemoryPlanner):
    """Deleting a thread leaves the checkpoints of its subgraphs."""

    def _delete(self, thread_id: str) -> None:
        thread = self.threads[thread_id]
        thread.drop([key for key in thread.checkpoints if not key[0]])


@mutant("saver.find_threads.deletes_nothing_without_a_condition", sqlite)
class DeletesEverything(SqliteSaver):
    """Without a condition, all threads are deleted."""

    def delete_threads(self, **options: Any) -> int:
        try:
            return super().delete_threads(**options)
        except InvalidArgumentError:
            return super().delete_threads(status="idle")


@mutant("saver.find_threads.invalid_arguments", sqlite)
class FindsNothingForAnUnknownStatus(SqliteSaver):
    """A status that does not exist finds nothing."""

    def list_threads(self, **options: Any) -> ThreadPage:
        if options.get("status") == "busy":
            return ThreadPage([], None)
        return super().list_threads(**options)


@saver("saver.find_threads.interrupts")
class OneQuestionAThread(_Changed):
    """Of tasks that ask at the same time, only the first one's questions are read."""

    def _changed(self, head: ThreadHead, query: HeadQuery) -> ThreadHead:
        return head._replace(interrupts=head.interrupts[:1])


@saver("saver.find_threads.interrupts_replaced")
class KeepsTheFirstQuestion(MemoryPlanner):
    """A task's first question is kept when it asks again."""

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        thread = self._find(config["configurable"]["thread_id"])
        stored = thread.writes.values() if thread else ()
        asked = {key[0] for some in stored for key in some if key[1] == WRITES_IDX_MAP[INTERRUPT]}
        kept = [each for each in writes if task_id not in asked or each[0] != INTERRUPT]
        yield from super().put_writes(codec, config, kept, task_id, task_path)


@saver("saver.find_threads.interrupts_limit")
class QuestionsOfTheFirstLook(MemoryPlanner):
    """Only the questions of the threads that were looked at first are read."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        page = yield from super().list_heads(query)
        return page._replace(cursor=None) if query.interrupts else page
