"""Detection of the optional methods that a saver or a store implements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver

from conformance_tests.contract.verdicts import not_offered

T = TypeVar("T")

REQUIRED: Final = ("get_tuple", "list", "put", "put_writes", "get", "delete", "search", "batch")
"""Methods that every saver, or every store, must implement."""
_RAISE: Final = (
    *("get_tuple", "list", "put", "put_writes"),
    *("delete_thread", "delete_for_runs", "copy_thread", "prune"),
)
"""Methods whose base-class versions, sync and async, only raise NotImplementedError."""


def lacks(raw: Any, name: str) -> str | None:
    """Why a saver or a store does not implement a method; None if it seems to."""
    method = getattr(type(raw), name, None) or getattr(raw, name, None)
    if method is None:
        return f"{type(raw).__name__} has no method `{name}`"
    if name.removeprefix("a") in _RAISE and method is getattr(BaseCheckpointSaver, name, None):
        return f"{type(raw).__name__} does not override `{name}`"
    return None


def call_offered(raw: Any, name: str, flavour_name: str, work: Callable[[], T], probe: Any) -> T:
    """Call a method; if it is not implemented, end the case as `not offered`.

    Args:
        raw: The saver or the store.
        name: The method's name in the sync flavour.
        flavour_name: Its name in the flavour under test.
        work: The call.
        probe: Returns whether even a simple read raises NotImplementedError. This distinguishes a
            backend without the flavour from one whose required method fails.
    """
    if reason := lacks(raw, flavour_name):
        not_offered(reason)
    try:
        return work()
    except NotImplementedError as error:
        if name not in REQUIRED or probe():
            not_offered(f"`{flavour_name}` raises NotImplementedError: {error}".rstrip(": "))
        raise
