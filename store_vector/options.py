"""The options that stores have in common, and what becomes of them when they are checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.store.base import TTLConfig
from typing_extensions import TypedDict

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT, checked_call_timeout
from store_vector.config import IndexSettings, StoreTTL
from store_vector.filters.keys import declared_fields

Deserializer = Callable[[bytes], dict[str, Any]]
"""Parses an item's JSON text, given as UTF-8 bytes."""


class StoreOptions(TypedDict, total=False):
    """Keyword arguments of every store's constructor and `from_conn_string`.

    Attributes:
        index: LangGraph's `IndexConfig`, with `distance_type` and what the backend adds to it;
            None: no vector search.
        filter_fields: fields that many searches filter by, such as `"status"` or `"user.age"`;
            `setup()` creates an index for each. The same as `index["filter_fields"]`.
        ttl: LangGraph's `TTLConfig`, in minutes.
        clock: returns the time in epoch seconds; items' times and `ttl` run by it.
        call_timeout: seconds that each step of a call may take, with its retries and its wait for
            a connection (`checkpoint_base.deadlines.timeouts`); None: no limit.
        deserializer: decodes an item's value from its JSON text (UTF-8 bytes); None: `json`.
    """

    index: Mapping[str, Any] | None
    filter_fields: Sequence[str] | None
    ttl: TTLConfig | StoreTTL | None
    clock: Callable[[], float]
    call_timeout: float | None
    deserializer: Deserializer | None


@dataclass(frozen=True)
class StoreSettings:
    """Checked `StoreOptions`, with defaults for those that are not given."""

    index: IndexSettings | None = None
    filter_fields: tuple[str, ...] = ()
    ttl: StoreTTL = field(default_factory=StoreTTL)
    clock: Callable[[], float] = time.time
    call_timeout: float | None = CALL_TIMEOUT
    deserializer: Deserializer | None = None

    @classmethod
    def of(cls, options: StoreOptions) -> StoreSettings:
        """Check the options.

        Raises:
            InvalidArgumentError: `index`, `filter_fields`, `ttl` or `call_timeout` is invalid.
            TypeError: an option is unknown.
        """
        index = options.get("index")
        checked: dict[str, Any] = {
            "index": IndexSettings.of(index),
            "filter_fields": declared_fields(index, options.get("filter_fields")),
            "ttl": StoreTTL.of(options.get("ttl")),
            "call_timeout": checked_call_timeout(options.get("call_timeout", CALL_TIMEOUT)),
        }
        return cls(**{**options, **checked})
