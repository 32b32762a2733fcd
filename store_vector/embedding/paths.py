"""Which texts of a value are embedded: field paths, with LangGraph's own meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from langgraph.store.base import get_text_at_path, tokenize_path

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.config import text
from store_vector.values import loads

WHOLE: Final = "$"
_PART: Final = re.compile(r"\[(\*|-?\d+)\]|\{.*[^\s,{}].*\}|[^\[{].*", re.DOTALL)
"""A place in a list, some fields of an object, or a field: what LangGraph finds anything at."""


class Field(NamedTuple):
    """A path, and its parts as LangGraph cuts them."""

    path: str
    tokens: list[str] | str


class Text(NamedTuple):
    """A text that a value has at a field."""

    field: str
    text: str

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that tell this text at this field from all others."""
        whole = f"{len(self.field)} {self.field}{self.text}"
        return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def fields_of(name: str, paths: Any) -> tuple[Field, ...]:
    """Read a list of paths, each once.

    Raises:
        InvalidArgumentError: it is no list of paths.
    """
    if isinstance(paths, str) or not isinstance(paths, Sequence):
        raise InvalidArgumentError(f"{name}: wanted a list of paths, got {paths!r:.80}")
    return tuple(_field(name, path) for path in dict.fromkeys(paths))


def _field(name: str, path: Any) -> Field:
    if path == WHOLE:
        return Field(WHOLE, WHOLE)
    tokens = tokenize_path(path) if isinstance(path, str) else []
    if not tokens or not all(map(_PART.fullmatch, tokens)):
        raise InvalidArgumentError(
            f"{name}: wanted paths such as 'text', 'a.b', 'list[0]', 'list[*]', '{{a,b}}', "
            f"got {path!r:.80}"
        )
    return Field(text(name, path), tokens)


def texts(value: Mapping[str, Any], fields: Sequence[Field]) -> list[Text]:
    """The texts at the fields of a value, each once; fields that it lacks, and empty texts, have
    none.
    """
    found = (Text(path, one) for path, tokens in fields for one in get_text_at_path(value, tokens))
    return list(dict.fromkeys(one for one in found if one.text))


class TextDigests:
    """Which texts a value has, by the digests that are stored with vectors.

    A put that embeds nothing (`index=False`) has one: vectors of texts that it lacks are stale.

    Args:
        value: JSON text.
        fields: the store's, whose vectors most items have; others are read when they are asked for.
    """

    def __init__(self, value: str, fields: Sequence[Field]) -> None:
        self._value, self._fields = value, fields

    @cached_property
    def _by_field(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {field.path: set() for field in self._fields}
        for one in texts(loads(self._value), self._fields):
            found[one.field].add(one.digest)
        return found

    @property
    def fields(self) -> list[str]:
        """The fields that have been read."""
        return list(self._by_field)

    @property
    def digests(self) -> list[str]:
        """The digests of all texts there."""
        return [digest for found in self._by_field.values() for digest in found]

    def read(self, fields: Iterable[str]) -> None:
        """Read more fields, as they are stored with vectors."""
        more = [name for name in dict.fromkeys(fields) if name not in self._by_field]
        read = texts(loads(self._value), [_field("field", name) for name in more])
        self._by_field.update({name: set() for name in more})
        for one in read:
            self._by_field[one.field].add(one.digest)

    def has(self, field: str, digest: str) -> bool:
        """Whether the value has this text at this field."""
        self.read([field])
        return digest in self._by_field[field]
