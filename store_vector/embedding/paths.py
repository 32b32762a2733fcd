"""Field paths that select the texts to embed in a value, with LangGraph's semantics."""

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
"""Path parts that LangGraph supports: a list index, `{a,b}` for several fields, or a field."""


class Field(NamedTuple):
    """A path, and its parts as LangGraph's `tokenize_path` splits it."""

    path: str
    tokens: list[str] | str


class Text(NamedTuple):
    """A text in a value, and the path of its field."""

    field: str
    text: str

    @property
    def digest(self) -> str:
        """A 128-bit hash of field and text, as 32 hexadecimal digits."""
        whole = f"{len(self.field)} {self.field}{self.text}"
        return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def fields_of(name: str, paths: Any) -> tuple[Field, ...]:
    """Parse a list of paths, without duplicates.

    Raises:
        InvalidArgumentError: it is not a list of valid paths.
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
    """The distinct texts at the fields of a value. Missing fields and empty texts are skipped."""
    found = (Text(path, one) for path, tokens in fields for one in get_text_at_path(value, tokens))
    return list(dict.fromkeys(one for one in found if one.text))


class TextDigests:
    """Digests of the texts in a value, to compare with the digests stored beside vectors.

    A put with `index=False` embeds nothing, but deletes the stored vectors whose texts its value no
    longer has.

    Args:
        value: JSON text.
        fields: the index's fields. `read` adds others.
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
        """The fields whose texts were digested so far."""
        return list(self._by_field)

    @property
    def digests(self) -> list[str]:
        """The digests of all texts of these fields."""
        return [digest for found in self._by_field.values() for digest in found]

    def read(self, fields: Iterable[str]) -> None:
        """Digest the texts of more fields, given by the paths that are stored with vectors."""
        more = [name for name in dict.fromkeys(fields) if name not in self._by_field]
        read = texts(loads(self._value), [_field("field", name) for name in more])
        self._by_field.update({name: set() for name in more})
        for one in read:
            self._by_field[one.field].add(one.digest)

    def has(self, field: str, digest: str) -> bool:
        """Whether the value has this text at this field."""
        self.read([field])
        return digest in self._by_field[field]
