"""New documents of many threads at once: what tasks on an event loop ask for at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import BulkWriteError

from checkpoint_mongo.bson_ops import BATCH, changes, written
from checkpoint_mongo.keys import THREAD, ref_of_thread
from checkpoint_mongo.pipelines import move_clocks
from checkpoint_mongo.requests import OF_THREADS, Add, Clock


async def added(collection: Any, requests: Sequence[Add]) -> list[bool]:
    """Which of the documents were added, to threads that were there afterwards: then whoever
    deletes a thread deletes them, too. Two commands, and another one where clocks move.
    """
    made = await _inserted(collection, requests)
    threads = await _threads(collection, {request.thread_id for request in requests})
    moving: dict[str, Clock] = {}
    for at, request in enumerate(requests):
        name = request.thread_id
        made[at] = made[at] and request.is_kept_by(threads.get(name))
        clock = request.moving(threads[name]) if made[at] else None
        if clock is not None:
            moving[name] = clock
    horizon = max(request.horizon for request in requests)
    if moving and not await _moved(collection, moving, horizon):
        made = [
            one and request.thread_id not in moving
            for one, request in zip(made, requests, strict=True)
        ]
    return made


async def _inserted(collection: Any, requests: Sequence[Add]) -> list[bool]:
    documents = [request.document for request in requests]
    made = [True] * len(documents)
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        for entry in error.details["writeErrors"]:
            made[entry["index"]] = False
    return made


async def _threads(collection: Any, names: set[str]) -> dict[str, Any]:
    refs = [ref_of_thread(name) for name in names]
    stages = [
        {"$match": {"ref": {"$in": refs}}},
        {"$match": {"thread_id": {"$in": list(names)}, "key": THREAD}},
        {"$project": {"_id": 0, **dict.fromkeys(OF_THREADS, 1)}},
    ]
    found = await (await collection.aggregate(stages, batchSize=BATCH)).to_list()
    return {one["thread_id"]: one for one in found}


async def _moved(collection: Any, clocks: Mapping[str, Clock], horizon: float) -> bool:
    """Move clocks, all threads' with the same time to live at once, to the latest of them; whether
    all were moved.
    """
    alike: dict[float | None, list[str]] = {}
    for name, clock in clocks.items():
        alike.setdefault(clock.ttl, []).append(name)
    ops = []
    for names in alike.values():
        latest = max((clocks[name] for name in names), key=lambda clock: clock.now)
        ops.append(move_clocks(names, latest, horizon))
    done = written(await collection.bulk_write(changes(ops), ordered=False))
    return done.matched == len(clocks)
