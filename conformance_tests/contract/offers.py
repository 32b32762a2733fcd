"""Which methods a saver or a store offers: found out, never demanded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver

from conformance_tests.contract.verdicts import not_offered

T = TypeVar("T")

REQUIRED: Final = ("get_tuple", "list", "put", "put_writes", "get", "delete", "search", "batch")
"""Without these nothing is a saver or a store."""
_RAISE: Final = (
    *("get_tuple", "list", "put", "put_writes"),
    *("delete_thread", "delete_for_runs", "copy_thread", "prune"),
)
"""What the base class of savers has only to be overridden, and the same with an `a`."""


def lacks(raw: Any, name: str) -> str | None:
    """Why a saver or a store does not offer a method; None if it may."""
    method = getattr(type(raw), name, None) or getattr(raw, name, None)
    if method is None:
        return f"{type(raw).__name__} has no method `{name}`"
    if name.removeprefix("a") in _RAISE and method is getattr(BaseCheckpointSaver, name, None):
        return f"{type(raw).__name__} does not override `{name}`"
    return None


def call_offered(raw: Any, name: str, flavour_name: str, work: Callable[[], T], probe: Any) -> T:
    """Call a method, or end the case as `not offered`.

    Args:
        raw: The saver or the store.
        name: The method's name in the sync flavour.
        flavour_name: Its name in the flavour under test.
        work: The call.
        probe: Whether the flavour as a whole raises NotImplementedError, to tell a backend without
            this flavour from one whose required method fails.
    """
    if reason := lacks(raw, flavour_name):
        not_offered(reason)
    try:
        return work()
    except NotImplementedError as error:
        if name not in REQUIRED or probe():
            not_offered(f"`{flavour_name}` raises NotImplementedError: {error}".rstrip(": "))
        raise
