"""A small saver with one bug each, under the clauses that LangGraph establishes.

Not collected with the other tests (see `test_messages.py`, which runs it and reads the outcome).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conformance_tests import Place, SaverConformance, SaverHarness
from conformance_tests.tests.small import SmallSaver

Members = dict[str, Any]


def after(method: str, change: Callable[[Any], Any]) -> Members:
    """A method whose answer is changed."""

    def overridden(self: Any, *args: Any, **kwargs: Any) -> Any:
        return change(getattr(SmallSaver, method)(self, *args, **kwargs))

    return {method: overridden}


def read(**change: Callable[[Any], Any]) -> Members:
    """`get_tuple` with parts of its answer changed."""
    return after(
        "get_tuple", lambda t: t and t._replace(**{name: new(t) for name, new in change.items()})
    )


def listed(change: Callable[[list[Any]], list[Any]]) -> Members:
    """`list` with its answer changed."""

    def overridden(self: Any, config: Any, **options: Any) -> Any:
        return iter(change([*SmallSaver.list(self, config, **options)]))

    return {"list": overridden}


def ignoring(option: str) -> Members:
    """`list` without one of its options."""

    def overridden(self: Any, config: Any, **options: Any) -> Any:
        return SmallSaver.list(self, config, **{**options, option: None})

    return {"list": overridden}


def without(entries: Any, key: str) -> Any:
    return {name: value for name, value in entries.items() if name != key}


def put_in_the_root(self: Any, config: Any, *args: Any) -> Any:
    named = {**config["configurable"], "checkpoint_ns": ""}
    return SmallSaver.put(self, {"configurable": named}, *args)


def replace_the_writes(self: Any, config: Any, *args: Any) -> None:
    named = config["configurable"]
    at = (named["thread_id"], named.get("checkpoint_ns", ""), named["checkpoint_id"])
    self.writes.pop(at, None)
    SmallSaver.put_writes(self, config, *args)


BUGS: dict[str, Members] = {
    "PutGivesEmpty": after("put", lambda _: {}),
    "PutGivesNone": after("put", lambda _: None),
    "GetIsNone": after("get_tuple", lambda _: None),
    "NoValues": read(checkpoint=lambda t: {**t.checkpoint, "channel_values": {}}),
    "ValuesMissing": read(checkpoint=lambda t: without(t.checkpoint, "channel_values")),
    "WritesNone": read(pending_writes=lambda _: None),
    "WritesReversed": read(pending_writes=lambda t: t.pending_writes[::-1]),
    "WritesAsLists": read(pending_writes=lambda t: [*map(list, t.pending_writes)]),
    "NoParent": read(parent_config=lambda _: None),
    "ParentEmpty": read(parent_config=lambda _: {}),
    "MetadataEmpty": read(metadata=lambda _: {}),
    "ConfigWithoutNamespace": read(
        config=lambda t: {"configurable": without(t.config["configurable"], "checkpoint_ns")}
    ),
    "VersionsAsText": read(
        checkpoint=lambda t: {
            **t.checkpoint,
            "channel_versions": {k: f"v{v}" for k, v in t.checkpoint["channel_versions"].items()},
        }
    ),
    "OldestFirst": listed(lambda found: found[::-1]),
    "ListEmpty": listed(lambda _: []),
    "ListGivesConfigs": listed(lambda found: [each.config for each in found]),
    "NoBefore": ignoring("before"),
    "NoFilter": ignoring("filter"),
    "NoLimit": ignoring("limit"),
    "WritesLost": {"put_writes": lambda *_: None},
    "WritesReplaced": {"put_writes": replace_the_writes},
    "OneNamespace": {"put": put_in_the_root},
}


def case(name: str, members: Members) -> type:
    """The clauses, sync, on a saver with this bug."""
    made: Any = type(name, (SmallSaver,), members)

    class Harness(SaverHarness):
        place = Place.MEMORY

        def __init__(self) -> None:
            self.saver = made()

        @contextmanager
        def open(self, *, serde: Any = None) -> Iterator[Any]:
            yield self.saver

    @pytest.fixture
    def harness(_: Any) -> Harness:
        return Harness()

    @pytest.fixture(params=["sync"])
    def flavour(_: Any, request: pytest.FixtureRequest) -> Any:
        return request.param

    return type("Test" + name, (SaverConformance,), {"harness": harness, "flavour": flavour})


for _name, _members in BUGS.items():
    globals()["Test" + _name] = case(_name, _members)
