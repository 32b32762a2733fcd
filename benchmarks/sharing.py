"""Benchmark of deduplication alone, without a database: python -m benchmarks.sharing

Each turn adds two messages; after each message the whole list is stored, as LangGraph does.
"""

from __future__ import annotations

import random
import time

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoint_base.dedup.index import ChunkIndexCache
from checkpoint_base.dedup.segments import Appender, assemble, spans_of


def words(size: int, seed: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choices("etaoin shrdlu cmfwyp", k=size))


def chat(turns: int, size: int) -> str:
    """Store a chat whose messages have `size` characters each; returns a line of figures."""
    serde, cache = JsonPlusSerializer(), ChunkIndexCache()
    known = cache.put("chat", 1, 0, [])
    log: dict[int, bytes] = {}
    messages: list[BaseMessage] = []
    whole = kept = spans = 0
    busy = 0.0
    for number in range(2 * turns):
        kind = AIMessage if number % 2 else HumanMessage
        messages.append(kind(words(size, number), id=f"m{number}"))
        value = serde.dumps_typed(messages)
        begin = time.perf_counter()
        appender = Appender(known)
        stored = appender.add(value)
        added = [(segment.start, segment.digests) for segment in appender.segments]
        known = cache.put("chat", 1, appender.end, added, appender.added)
        busy += time.perf_counter() - begin
        log.update((segment.start, segment.data) for segment in appender.segments)
        whole += len(value[1])
        kept += len(stored.inline) + len(stored.layout or b"")
        kept += sum(len(segment.data) + len(segment.digests) for segment in appender.segments)
        spans = max(spans, len(spans_of(stored.layout)) if stored.layout else 0)
        if assemble(stored, log) != value[1]:
            raise SystemExit("read back something else")
    return (
        f"{turns:5} turns of 2 x {size:5} characters: {whole / 1e6:8.1f} MB of values, "
        f"{kept / 1e6:5.2f} MB kept, {spans} spans at most, {busy / (2 * turns) * 1e3:.2f} ms a put"
    )


if __name__ == "__main__":
    for turns, size in ((200, 500), (200, 4000), (1000, 500)):
        print(chat(turns, size))
