"""What each version of the contract brought, so that a change of clauses cannot go without one.

`python -m conformance_tests.tests.versions` records the clauses as they are under today's
`CONTRACT_VERSION`; clauses whose text is another one are recorded as stricter, unless `--as-before`
says that they ask for what they did. `--released` closes the version: what changes next needs a new
one.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from conformance_tests.caches.conformance import CacheConformance
from conformance_tests.contract.catalogue import clause_of
from conformance_tests.contract.version import CONTRACT_VERSION, current_id
from conformance_tests.savers.conformance import SaverConformance
from conformance_tests.savers.graph_conformance import GraphConformance
from conformance_tests.stores.conformance import StoreConformance
from conformance_tests.stores.graphs import StoreGraphConformance

PATH: Final = Path(__file__).with_name("versions.json")
CLASSES: Final = (
    SaverConformance,
    GraphConformance,
    StoreConformance,
    StoreGraphConformance,
    CacheConformance,
)
KINDS: Final = ("added", "removed", "stricter")
MAJOR: Final = ("removed", "stricter")
_SENTENCE: Final = re.compile(r'""".*?"""', re.DOTALL)

Changes = Mapping[str, list[str]]


class History(NamedTuple):
    """What is recorded.

    Attributes:
        versions: By version, the ids of the clauses that it added, removed and made stricter.
        texts: By id, a digest of the clause's code in the newest version.
        released: Versions whose clauses can no longer change.
    """

    versions: dict[str, Changes]
    texts: dict[str, str]
    released: tuple[str, ...] = ()


def texts() -> dict[str, str]:
    """By the id of each clause, a digest of its code: its sentence and its layout may change."""
    found = {}
    for cls in CLASSES:
        for name in dir(cls):
            clause = clause_of(cls, name) if name.startswith("test_") else None
            if clause is not None:
                code = _SENTENCE.sub("", inspect.getsource(getattr(cls, name)), count=1)
                words = "".join(code.split())
                found[clause.id] = hashlib.sha256(words.encode()).hexdigest()[:8]
    return found


def changes(history: History, now: Mapping[str, str]) -> dict[str, list[str]]:
    """What differs from the record; a clause that is renamed is the same one."""
    before = {current_id(name): text for name, text in history.texts.items()}
    return {
        "added": sorted(now.keys() - before.keys()),
        "removed": sorted(before.keys() - now.keys()),
        "stricter": sorted(
            name for name in now.keys() & before.keys() if now[name] != before[name]
        ),
    }


def too_small(history: History) -> list[str]:
    """Versions whose number says less than what they changed."""
    parts = {name: tuple(map(int, name.split("."))) for name in history.versions}
    wrong = []
    for before, name in zip(list(parts)[:-1], list(parts)[1:], strict=True):
        brought = history.versions[name]
        is_major = any(brought.get(kind) for kind in MAJOR)
        counted = 1 if is_major else 2 if brought.get("added") else 3
        if parts[name][:counted] <= parts[before][:counted]:
            wrong.append(f"{name} after {before}: a {('major', 'minor', 'patch')[counted - 1]} one")
    return wrong


def recorded(history: History, version: str, now: Mapping[str, str], stricter: bool) -> History:
    """The record with what is there now.

    Raises:
        ValueError: The version is released, and something has changed.
    """
    found = changes(history, now)
    if not stricter:
        del found["stricter"]
    if version in history.released and any(found.values()):
        raise ValueError(f"{version} is released: raise CONTRACT_VERSION, because of {found}")
    known = dict(history.versions.get(version, {}))
    merged = {
        kind: sorted({*known.get(kind, ()), *found.get(kind, ())})
        for kind in KINDS
        if known.get(kind) or found.get(kind)
    }
    versions = {**history.versions, version: merged}
    return history._replace(versions=versions, texts=dict(sorted(now.items())))


def read() -> History:
    """The record."""
    return History(**json.loads(PATH.read_text(encoding="utf-8")))


def main(arguments: Collection[str]) -> None:
    """Record the clauses as they are."""
    history = read() if PATH.exists() else History({}, {})
    found = recorded(history, CONTRACT_VERSION, texts(), "--as-before" not in arguments)
    if "--released" in arguments:
        found = found._replace(released=(*found.released, CONTRACT_VERSION))
    PATH.write_text(json.dumps(found._asdict(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
