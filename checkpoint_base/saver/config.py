"""Validate a `RunnableConfig`, and read the thread, namespace and checkpoint ids in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_core.runnables import RunnableConfig

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.ttl.policy import minutes


def text(name: str, value: Any) -> str:
    """`value` as a string that every database can store as a key.

    Raises:
        InvalidArgumentError: it contains a NUL, or a surrogate, which UTF-8 cannot encode.
    """
    string = value if isinstance(value, str) else str(value)
    if string.isascii() and "\0" not in string:
        return string
    if "\0" in string:
        raise InvalidArgumentError(f"{name}: must not contain NUL, got {string[:80]!r}")
    if not string.isascii():
        try:
            string.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(
                f"{name}: wanted text that UTF-8 can encode, got {string[:80]!r}"
            ) from error
    return string


@lru_cache(4096)
def channel_name(name: str) -> str:
    """`text` for channel names, cached because few names recur."""
    return text("channel", name)


@dataclass(frozen=True)
class Address:
    """The ids in a call's config: a thread, optionally a namespace and a checkpoint.

    Attributes:
        thread_id: the thread's id, converted to a string.
        ns: the checkpoint namespace (`""` is the root graph's); None: not given.
        checkpoint_id: the checkpoint's id; None: not given, or empty.
        ttl: the run's time to live in minutes; None: not given.
    """

    thread_id: str
    ns: str | None
    checkpoint_id: str | None
    ttl: float | None

    @property
    def namespace(self) -> str:
        """The namespace to read or write; default: the root graph's."""
        return self.ns or ""


def address(config: Mapping[str, Any], *, checkpoint: bool = False) -> Address:
    """Read and validate the config of a call; with `checkpoint`, a checkpoint id is required.

    Raises:
        InvalidArgumentError: a required id is missing, or an id or the TTL is invalid.
    """
    configurable = config.get("configurable") or {}
    thread_id = configurable.get("thread_id")
    if thread_id is None:
        names = sorted(map(str, configurable))
        got = "thread_id None" if "thread_id" in configurable else f"no thread_id among {names}"
        raise InvalidArgumentError(
            f'config: wanted {{"configurable": {{"thread_id": …}}}}, got {got}'
        )
    ns, checkpoint_id = configurable.get("checkpoint_ns"), configurable.get("checkpoint_id")
    ttl = configurable.get("ttl")
    if checkpoint and not checkpoint_id:
        raise InvalidArgumentError(
            "config: wanted a checkpoint_id under 'configurable' (writes belong to a checkpoint), "
            f"got none for thread {str(thread_id)[:80]!r}"
        )
    return Address(
        text("thread_id", thread_id),
        None if ns is None else text("checkpoint_ns", ns),
        text("checkpoint_id", checkpoint_id) if checkpoint_id else None,
        None if ttl is None else minutes("config['configurable']['ttl']", ttl),
    )


def config_of(thread_id: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    """The config that identifies this checkpoint."""
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": ns,
            "checkpoint_id": checkpoint_id,
        }
    }


def before_id(before: RunnableConfig | None) -> str | None:
    """The checkpoint id in the `before` argument of `list`, or None."""
    if before is None:
        return None
    found = (before.get("configurable") or {}).get("checkpoint_id")
    return text("before", found) if found else None


def prune_strategy(strategy: str) -> str:
    """Normalize `prune`'s argument to `"keep_latest"` or `"delete"` (Agent Server: `delete_all`).

    Raises:
        InvalidArgumentError: the strategy is unknown.
    """
    if strategy in ("delete", "delete_all"):
        return "delete"
    if strategy != "keep_latest":
        raise InvalidArgumentError(f"strategy: wanted 'keep_latest' or 'delete', got {strategy!r}")
    return strategy
