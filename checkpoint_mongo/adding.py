"""New documents of many threads at once: what tasks on an event loop ask for at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.errors import BulkWriteError

from checkpoint_mongo.bson_ops import BATCH, changes, written
from checkpoint_mongo.keys import THREAD, ref_of_thread
from checkpoint_mongo.requests import OF_THREADS, Add, Op


async def added(collection: Any, requests: Sequence[Add]) -> list[bool]:
    """Which of the documents were added, to threads that were there afterwards: then whoever
    deletes a thread deletes them, too. Two commands, and another one where clocks move.
    """
    made = await _inserted(collection, requests)
    threads = await _threads(collection, {one.new.where["thread_id"] for one in requests})
    moving: dict[str, Op] = {}
    for at, request in enumerate(requests):
        name = request.new.where["thread_id"]
        made[at] = made[at] and request.is_kept_by(threads.get(name))
        op = request.moving(threads[name]) if made[at] else None
        if op is not None:
            moving[name] = op
    if moving and not await _moved(collection, list(moving.values())):
        late = (request.new.where["thread_id"] in moving for request in requests)
        made = [one and not is_late for one, is_late in zip(made, late, strict=True)]
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


async def _moved(collection: Any, ops: Sequence[Op]) -> bool:
    try:
        done = written(await collection.bulk_write(changes(ops), ordered=False))
    except BulkWriteError:
        return False
    return done.matched == len(ops)
