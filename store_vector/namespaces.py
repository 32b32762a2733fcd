"""Encoding of namespaces as text, and the query of `list_namespaces`.

Encoded namespaces sort as the tuples do, and a prefix of whole labels is a prefix of the text.
"""

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

# Each label is terminated by \x01; \x01 and \x02 inside labels are escaped as pairs that begin with
# \x02. The encoding is injective. Encoded texts sort as tuples of labels do, by code point, which
# is also the order of UTF-8 bytes. A namespace's descendants are exactly the texts that begin with
# its text, so they form one range of an index.
_END: Final = "\x01"
_AFTER: Final = "\x02"
_ESCAPES: Final = {"\x01": "\x02\x02", "\x02": "\x02\x03"}
_LABELS: Final = {code: label for label, code in _ESCAPES.items()}
_ESCAPED: Final = re.compile("[\x01\x02]")
_CODES: Final = re.compile("\x02[\x02\x03]")


class NamespaceError(InvalidArgumentError, InvalidNamespaceError):
    """An invalid namespace; a subclass of LangGraph's `InvalidNamespaceError`."""


def label(value: object) -> str:
    """Validate one label of a namespace, and return it.

    Raises:
        NamespaceError: it is not a string, is empty, or contains a period, a NUL or a lone
            surrogate.
    """
    if not isinstance(value, str):
        raise NamespaceError(
            f"namespace: wanted labels that are strings, got {value!r:.80}, "
            f"of type {type(value).__name__}"
        )
    if not value:
        raise NamespaceError("namespace: a label must not be empty")
    if "." in value:  # LangGraph's own stores join labels with periods
        raise NamespaceError(f"namespace: a label must not have a period ('.'), got {value!r:.80}")
    try:
        return text("namespace", value)
    except InvalidArgumentError as error:
        raise NamespaceError(str(error)) from error


def encode(namespace: Sequence[str]) -> str:
    """Encode a namespace as text; `()` becomes the empty text.

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
    except TypeError as error:  # an unhashable label, rejected by the lru_cache of _encode
        raise NamespaceError(f"namespace: wanted a tuple of strings, got {namespace!r}") from error


def refuse_reserved(namespace: Sequence[str]) -> None:
    """Reject a put under the root label "langgraph", as LangGraph's `put` does. LangGraph's `get`
    and `delete` accept it.

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
    """Decode a text that `encode` made."""
    labels = encoded.split(_END)[:-1]
    return tuple(_CODES.sub(lambda match: _LABELS[match[0]], one) for one in labels)


def bounds(encoded: str) -> tuple[str, str] | None:
    """The range [from, to) of the texts of a namespace and its descendants; None: all texts."""
    return (encoded, encoded[:-1] + _AFTER) if encoded else None


class NamespaceQuery(NamedTuple):
    """The validated arguments of `list_namespaces`.

    Attributes:
        conditions: LangGraph's match conditions, joined by AND; `*` in a path matches one label.
        max_depth: deeper namespaces are truncated to this many labels; None: not truncated.
        limit: maximum number of namespaces returned.
        offset: number of namespaces skipped before them.
    """

    conditions: tuple[MatchCondition, ...]
    max_depth: int | None
    limit: int
    offset: int

    @classmethod
    def of(cls, op: ListNamespacesOp) -> NamespaceQuery:
        """Validate an operation. As in LangGraph's own stores, a path that is a string counts as
        the tuple of its characters.

        Raises:
            NamespaceError: a path has an invalid label.
            InvalidArgumentError: the match type is unknown, the limit or the offset is negative, or
                the depth is less than 1.
        """
        conditions = tuple(map(_checked, op.match_conditions or ()))
        if op.max_depth is not None and whole_number("max_depth", op.max_depth) < 1:
            raise InvalidArgumentError(f"max_depth: wanted 1 or more, got {op.max_depth!r}")
        limit, offset = whole_number("limit", op.limit), whole_number("offset", op.offset)
        return cls(conditions, op.max_depth, limit, offset)

    @property
    def bounds(self) -> tuple[str, str] | None:
        """The range [from, to) that contains all matching texts; None: no restriction."""
        paths = [path for match_type, path in self.conditions if match_type == "prefix"]
        literal = max((_until_wildcard(path) for path in paths), key=len, default=())
        return bounds(encode(literal))

    @property
    def is_one_range(self) -> bool:
        """Whether every namespace within `bounds` matches, so that no condition needs checking."""
        return all(
            match_type == "prefix" and "*" not in path and len(self.conditions) == 1
            for match_type, path in self.conditions
        )

    def cut(self, namespace: Namespace) -> Namespace:
        """The namespace, truncated to `max_depth`."""
        return namespace[: self.max_depth]

    def matches(self, namespace: Namespace) -> bool:
        """Whether a namespace fulfils all conditions. It must not be truncated yet."""
        return all(_holds(condition, namespace) for condition in self.conditions)

    def select(self, encoded: Iterable[str]) -> list[Namespace]:
        """Filter, truncate, sort and paginate encoded namespaces into the result.

        Args:
            encoded: the texts of at least all namespaces within `bounds`, in any order.
        """
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
    encode(labels)  # raises if it is not a sequence of valid labels
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
