"""Bugs to plant in the foreign backend, as text replacements in its files.

`test_foreign_backend.py` runs the clause of each bug in a separate process, where it must fail.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, NamedTuple

BACKEND = Path(__file__).parents[1] / "foreign_backend"


class Bug(NamedTuple):
    """A text replacement, and the clause that must find it."""

    name: str
    file: str
    before: str
    after: str
    caught_by: str


BUGS = (
    Bug(
        "reads the newest whatever is named",
        "saver.py",
        "prefix + _id(checkpoint_id) if checkpoint_id else self._newest(txn, prefix)",
        "self._newest(txn, prefix)",
        "saver.get_tuple.named_checkpoint",
    ),
    Bug(
        "takes the lowest id for the latest",
        "saver.py",
        'cursor.prev() if cursor.set_range(prefix + b"\\xff") else cursor.last()',
        "cursor.set_range(prefix)",
        "saver.get_tuple.latest_without_an_id",
    ),
    Bug(
        "loses the parent",
        "saver.py",
        "get_checkpoint_id(config) or None,",
        "None,",
        "saver.put.parent_is_the_checkpoint_of_the_config",
    ),
    Bug(
        "forgets what the config says",
        "saver.py",
        "get_checkpoint_metadata(config, metadata)",
        "metadata",
        "saver.put.metadata_is_merged_as_langgraph_merges_it",
    ),
    Bug(
        "mixes namespaces",
        "saver.py",
        "return digest(thread) + digest(ns)",
        'return digest(thread) + digest("")',
        "saver.put.namespaces_are_apart",
    ),
    Bug(
        "folds the case of thread ids",
        "saver.py",
        "return digest(thread) + digest(ns)",
        "return digest(thread.lower()) + digest(ns)",
        "saver.hostile_input.thread_ids_never_collide",
    ),
    Bug(
        "drops values that are none",
        "saver.py",
        "for name, value in values.items()}",
        "for name, value in values.items() if value is not None}",
        "saver.put.none_is_a_value",
    ),
    Bug(
        "keeps the first of a checkpoint put twice",
        "saver.py",
        "txn.put(key, ormsgpack.packb(list(record)), db=self._checkpoints)",
        "txn.put(key, ormsgpack.packb(list(record)), db=self._checkpoints, overwrite=False)",
        "saver.put.again_replaces",
    ),
    Bug(
        "overwrites regular writes",
        "saver.py",
        "overwrite=index < 0",
        "overwrite=True",
        "saver.put_writes.regular_writes_the_first_wins",
    ),
    Bug(
        "keeps the first of special writes",
        "saver.py",
        "overwrite=index < 0",
        "overwrite=False",
        "saver.put_writes.special_writes_the_last_wins",
    ),
    Bug(
        "leaves writes in the order of keys",
        "saver.py",
        "rows.sort(key=lambda row: writes_sort_key(*row[:3]))",
        "pass",
        "saver.put_writes.order_is_path_then_task_then_index",
    ),
    Bug(
        "counts special writes by their place",
        "saver.py",
        "WRITES_IDX_MAP.get(channel, position)",
        "position",
        "saver.put_writes.special_writes_come_first_in_their_order",
    ),
    Bug(
        "lists the oldest first",
        "saver.py",
        "sorted(found, reverse=True)",
        "sorted(found)",
        "saver.list.newest_first",
    ),
    Bug(
        "lists the checkpoint before which",
        "saver.py",
        "found_id < end",
        "found_id <= end",
        "saver.list.before",
    ),
    Bug(
        "counts against the limit what the filter leaves out",
        "saver.py",
        "            if found is not None:\n                left -= 1\n",
        "            left -= 1\n            if found is not None:\n",
        "saver.filter.limit_and_before_count_what_matches",
    ),
    Bug(
        "deletes checkpoints and leaves writes",
        "saver.py",
        "for database in (self._checkpoints, self._writes):",
        "for database in (self._checkpoints,):",
        "saver.delete_thread.nothing_is_left",
    ),
    Bug(
        "lets reads of a batch see its puts",
        "store.py",
        "            results = [self._answer(txn, op) for op in ops]\n"
        "            for put in puts.values():\n                self._put(txn, put)\n",
        "            for put in puts.values():\n                self._put(txn, put)\n"
        "            results = [self._answer(txn, op) for op in ops]\n",
        "store.batch.reads_see_the_state_before",
    ),
    Bug(
        "matches a prefix by its characters",
        "store.py",
        "if namespace[:depth] == op.namespace_prefix",
        'if ".".join(namespace).startswith(".".join(op.namespace_prefix)) or depth < 0',
        "store.search.prefixes_match_whole_labels",
    ),
    Bug(
        "forgets when an item was made",
        "store.py",
        "created = now if before is None else ormsgpack.unpackb(before)[2]",
        "created = now",
        "store.items.created_at_survives_an_update",
    ),
    Bug(
        "ignores the offset",
        "store.py",
        "sorted(found)[op.offset : op.offset + op.limit]",
        "sorted(found)[: op.limit]",
        "store.namespaces.many",
    ),
    Bug(
        "lets the first put of a batch win",
        "store.py",
        "for op in ops if isinstance(op, PutOp)}",
        "for op in reversed(ops) if isinstance(op, PutOp)}",
        "store.batch.the_last_put_wins",
    ),
    Bug(
        "takes one entry of a filter for all",
        "filters.py",
        "return all(_holds(",
        "return not wanted or any(_holds(",
        "store.filter.as_documented",
    ),
)


def planted(bug: Bug, folder: Path, package: str) -> Any:
    """Copy the backend, plant the bug in the copy, and import its harness module."""
    target = folder / package
    target.mkdir()
    for file in BACKEND.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        if file.name == bug.file:
            assert bug.before in text, bug.name
            text = text.replace(bug.before, bug.after)
        (target / file.name).write_text(
            text.replace("examples.foreign_backend", package), encoding="utf-8"
        )
    return importlib.import_module(f"{package}.harness")
