"""Namespaces as text: one string for each tuple, in the same order, cut at whole labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from langgraph.store.base import InvalidNamespaceError, ListNamespacesOp, MatchCondition

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.config import text
from store_vector.values import whole_number

Namespace = tuple[str, ...]

_RESERVED: Final = "langgraph"

# Each label ends with \x01; in labels, \x01 and \x02 become pairs that begin with \x02. So no text
# is the text of two namespaces, texts sort as tuples of labels do (by code point, which is also the
# order of UTF-8 bytes), and what begins with a namespace's text is exactly what lies under it.
_END: Final = "\x01"
_AFTER: Final = "\x02"
_ESCAPES: Final = {"\x01": "\x02\x02", "\x02": "\x02\x03"}
_LABELS: Final = {code: label for label, code in _ESCAPES.items()}
_ESCAPED: Final = re.compile("[\x01\x02]")
_CODES: Final = re.compile("\x02[\x02\x03]")


class NamespaceError(InvalidArgumentError, InvalidNamespaceError):
    """A namespace that cannot be one; also LangGraph's own `InvalidNamespaceError`."""


def label(value: object) -> str:
    """`value` as a label.

    Raises:
        NamespaceError: it is no string, is empty, or has a period, a NUL or a lone surrogate.
    """
    if not isinstance(value, str):
        raise NamespaceError(
            f"namespace: wanted labels that are strings, got {value!r:.80}, "
            f"of type {type(value).__name__}"
        )
    if not value:
        raise NamespaceError("namespace: a label must not be empty")
    if "." in value:  # LangGraph's own stores join labels with it
        raise NamespaceError(f"namespace: a label must not have a period ('.'), got {value!r:.80}")
    try:
        return text("namespace", value)
    except InvalidArgumentError as error:
        raise NamespaceError(str(error)) from error


def encode(namespace: Sequence[str]) -> str:
    """The text of a namespace; of none, the empty text.

    Raises:
        NamespaceError: see `label`.
    """
    try:
        if type(namespace) is tuple:
            return _encode(namespace)
        if isinstance(namespace, str):
            raise NamespaceError(
                f"namespace: wanted a tuple of labels, got the string {namespace!r}"
            )
        return _encode(tuple(namespace))
    except TypeError as error:  # a label that cannot be hashed, so none of ours
        raise NamespaceError(f"namespace: wanted a tuple of strings, got {namespace!r}") from error


def refuse_reserved(namespace: Sequence[str]) -> None:
    """Refuse to put under LangGraph's own root, as its `put` does; `get` and `delete` do not.

    Raises:
        NamespaceError: the first label is reserved.
    """
    if namespace[0] == _RESERVED:
        raise NamespaceError(
            f"namespace: the root label {_RESERVED!r} is reserved, got {namespace!r:.80}"
        )


@lru_cache(8192)
def _encode(namespace: Namespace) -> str:
    return "".join(
        _ESCAPED.sub(lambda match: _ESCAPES[match[0]], label(one)) + _END for one in namespace
    )


@lru_cache(8192)
def decode(encoded: str) -> Namespace:
    """The namespace with this text."""
    labels = encoded.split(_END)[:-1]
    return tuple(_CODES.sub(lambda match: _LABELS[match[0]], one) for one in labels)


def bounds(encoded: str) -> tuple[str, str] | None:
    """From and to (exclusive) of the texts of a namespace and all under it; None: of all."""
    return (encoded, encoded[:-1] + _AFTER) if encoded else None


class NamespaceQuery(NamedTuple):
    """What `list_namespaces` was asked for.

    Attributes:
        conditions: LangGraph's, which must all hold; `*` in them is any one label.
        max_depth: deeper namespaces are cut to so many labels; None: never.
        limit: how many to give at most.
        offset: how many to leave out before.
    """

    conditions: tuple[MatchCondition, ...]
    max_depth: int | None
    limit: int
    offset: int

    @classmethod
    def of(cls, op: ListNamespacesOp) -> NamespaceQuery:
        """Read an operation. A path that is a string is that of its characters, as in LangGraph's
        own stores.

        Raises:
            NamespaceError: a path with a label that is none.
            InvalidArgumentError: an unknown match type, a limit or an offset less than 0, a depth
                less than 1.
        """
        conditions = tuple(map(_checked, op.match_conditions or ()))
        if op.max_depth is not None and whole_number("max_depth", op.max_depth) < 1:
            raise InvalidArgumentError(f"max_depth: wanted 1 or more, got {op.max_depth!r}")
        limit, offset = whole_number("limit", op.limit), whole_number("offset", op.offset)
        return cls(conditions, op.max_depth, limit, offset)

    @property
    def bounds(self) -> tuple[str, str] | None:
        """From and to (exclusive) of the texts that may match; None: all may."""
        paths = [path for match_type, path in self.conditions if match_type == "prefix"]
        literal = max((_until_wildcard(path) for path in paths), key=len, default=())
        return bounds(encode(literal))

    @property
    def is_one_range(self) -> bool:
        """Whether all within `bounds` match, so that only cutting and counting is left."""
        return all(
            match_type == "prefix" and "*" not in path and len(self.conditions) == 1
            for match_type, path in self.conditions
        )

    def cut(self, namespace: Namespace) -> Namespace:
        """The namespace, no deeper than asked for."""
        return namespace[: self.max_depth]

    def matches(self, namespace: Namespace) -> bool:
        """Whether a namespace, not yet cut, is wanted."""
        return all(_holds(condition, namespace) for condition in self.conditions)

    def select(self, encoded: Iterable[str]) -> list[Namespace]:
        """The answer, from the texts of at least all namespaces within `bounds`."""
        if self.limit <= 0:
            return []
        names: Iterable[Namespace] = map(decode, set(encoded))
        for condition in self.conditions:
            names = [namespace for namespace in names if _holds(condition, namespace)]
        found = {namespace[: self.max_depth] for namespace in names}
        return sorted(found)[self.offset : self.offset + self.limit]


def _checked(condition: MatchCondition) -> MatchCondition:
    match_type, path = condition
    if match_type not in ("prefix", "suffix"):
        raise InvalidArgumentError(f"match_type: wanted 'prefix' or 'suffix', got {match_type!r}")
    labels: Sequence[str] = path
    if isinstance(labels, str):
        labels = tuple(labels)
    encode(labels)  # refuses what is no sequence of labels
    return MatchCondition(match_type, tuple(labels))


def _until_wildcard(path: Sequence[str]) -> Namespace:
    return tuple(path[: path.index("*")]) if "*" in path else tuple(path)


def _holds(condition: MatchCondition, namespace: Namespace) -> bool:
    match_type, path = condition
    length = len(path)
    if len(namespace) < length:
        return False
    part = namespace[:length] if match_type == "prefix" else namespace[-length or None :]
    if part == path:
        return True
    return all(wanted in ("*", found) for wanted, found in zip(path, part, strict=False))
