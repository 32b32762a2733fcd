"""A store on LMDB, without vector search and without TTL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import lmdb
import ormsgpack
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

from examples.foreign_backend.database import digest, scan
from examples.foreign_backend.filters import matches

Namespace = tuple[str, ...]


class LmdbStore(BaseStore):
    """A store on an LMDB environment, which the caller opens and closes.

    Args:
        environment: must allow two more named databases.
    """

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._items = environment.open_db(b"items")
        self._namespaces = environment.open_db(b"namespaces")

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run operations in one transaction: reads first, then the last put of each key."""
        ops = list(ops)
        puts = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
        with self._environment.begin(write=bool(puts)) as txn:
            results = [self._answer(txn, op) for op in ops]
            for put in puts.values():
                self._put(txn, put)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await asyncio.to_thread(self.batch, list(ops))

    def _answer(self, txn: Any, op: Op) -> Result:
        if isinstance(op, GetOp):
            stored = txn.get(_key(op.namespace, op.key), db=self._items)
            return None if stored is None else _item(op.namespace, ormsgpack.unpackb(stored))
        if isinstance(op, SearchOp):
            return self._search(txn, op)
        if isinstance(op, ListNamespacesOp):
            return self._list_namespaces(txn, op)
        if isinstance(op, PutOp):
            return None
        raise ValueError(f"unknown operation {type(op).__name__}")

    def _put(self, txn: Any, op: PutOp) -> None:
        key, namespace = _key(op.namespace, op.key), _digest(op.namespace)
        if op.value is None:
            txn.delete(key, db=self._items)
            if next(scan(txn, self._items, namespace), None) is None:
                txn.delete(namespace, db=self._namespaces)
            return
        now = datetime.now(timezone.utc).isoformat()
        before = txn.get(key, db=self._items)
        created = now if before is None else ormsgpack.unpackb(before)[2]
        row = [op.key, json.dumps(op.value), created, now]
        txn.put(key, ormsgpack.packb(row), db=self._items)
        txn.put(namespace, ormsgpack.packb(list(op.namespace)), db=self._namespaces)

    def _all_namespaces(self, txn: Any) -> list[Namespace]:
        return sorted(tuple(labels) for _, labels in scan(txn, self._namespaces))

    def _search(self, txn: Any, op: SearchOp) -> list[SearchItem]:
        """Items that match the filter, last updated first. There is no vector index, so `query` is
        ignored.
        """
        depth = len(op.namespace_prefix)
        found = [
            item
            for namespace in self._all_namespaces(txn)
            if namespace[:depth] == op.namespace_prefix
            for _, row in scan(txn, self._items, _digest(namespace))
            if matches((item := _item(namespace, row)).value, op.filter or {})
        ]
        found.sort(key=lambda item: item.updated_at, reverse=True)
        return [SearchItem(**item.dict()) for item in found[op.offset : op.offset + op.limit]]

    def _list_namespaces(self, txn: Any, op: ListNamespacesOp) -> list[Namespace]:
        conditions = op.match_conditions or ()
        found = {
            namespace[: op.max_depth]
            for namespace in self._all_namespaces(txn)
            if all(_is_like(namespace, condition) for condition in conditions)
        }
        return sorted(found)[op.offset : op.offset + op.limit]


def _digest(namespace: Namespace) -> bytes:
    return digest(json.dumps(namespace))


def _key(namespace: Namespace, key: str) -> bytes:
    return _digest(namespace) + digest(key)


def _item(namespace: Namespace, row: list[str]) -> Item:
    key, value, created, updated = row
    return Item(
        value=json.loads(value),
        key=key,
        namespace=namespace,
        created_at=datetime.fromisoformat(created),
        updated_at=datetime.fromisoformat(updated),
    )


def _is_like(namespace: Namespace, condition: MatchCondition) -> bool:
    """Whether a namespace begins or ends with the condition's labels; `*` matches any label."""
    path = condition.path
    if len(namespace) < len(path):
        return False
    suffix = condition.match_type == "suffix"
    labels = namespace[len(namespace) - len(path) :] if suffix else namespace[: len(path)]
    return all(wanted in ("*", label) for wanted, label in zip(path, labels, strict=True))
