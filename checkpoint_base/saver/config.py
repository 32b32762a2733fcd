"""What a `RunnableConfig` says about checkpoints, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_core.runnables import RunnableConfig

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.ttl.policy import minutes


def text(name: str, value: Any) -> str:
    """`value` as a string that every database can keep as a key.

    Raises:
        InvalidArgumentError: it has a NUL, or a surrogate, which no UTF-8 can carry.
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
    """`text` for channel names, which are few and recur."""
    return text("channel", name)


@dataclass(frozen=True)
class Address:
    """Where a call points: a thread, perhaps a namespace, perhaps a checkpoint.

    Attributes:
        thread_id: the thread's id, always as text.
        ns: the checkpoint namespace; None when the config names none (`""` is the root's).
        checkpoint_id: None when the config names none or an empty one.
        ttl: minutes that this run asks for, or None.
    """

    thread_id: str
    ns: str | None
    checkpoint_id: str | None
    ttl: float | None

    @property
    def namespace(self) -> str:
        """The namespace to read or write: the root's unless another is named."""
        return self.ns or ""


def address(config: Mapping[str, Any], *, checkpoint: bool = False) -> Address:
    """Read the config of a call; with `checkpoint`, it must name one.

    Raises:
        InvalidArgumentError: it names no thread, or something that cannot be an id.
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
    """The config that names exactly this checkpoint."""
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": ns,
            "checkpoint_id": checkpoint_id,
        }
    }


def before_id(before: RunnableConfig | None) -> str | None:
    """The checkpoint id that `list(before=…)` names, if any."""
    if before is None:
        return None
    found = (before.get("configurable") or {}).get("checkpoint_id")
    return text("before", found) if found else None


def prune_strategy(strategy: str) -> str:
    """`prune`'s argument: `"keep_latest"` or `"delete"`, which the Agent Server calls delete_all.

    Raises:
        InvalidArgumentError: no such strategy.
    """
    if strategy in ("delete", "delete_all"):
        return "delete"
    if strategy != "keep_latest":
        raise InvalidArgumentError(f"strategy: wanted 'keep_latest' or 'delete', got {strategy!r}")
    return strategy
