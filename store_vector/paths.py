"""Which texts of a value are embedded: field paths, with LangGraph's own meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from langgraph.store.base import get_text_at_path, tokenize_path

from checkpoint_base.errors import InvalidArgumentError

WHOLE: Final = "$"
_PART: Final = re.compile(r"\[(\*|-?\d+)\]|\{.*[^\s,{}].*\}|[^\[{].*", re.DOTALL)
"""A place in a list, some fields of an object, or a field: what LangGraph finds anything at."""


class Field(NamedTuple):
    """A path, and its parts as LangGraph cuts them."""

    path: str
    tokens: list[str] | str


class Text(NamedTuple):
    """A text of a value. `path` tells the texts of one value apart."""

    path: str
    text: str


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
    return Field(path, tokens)


def texts(value: Mapping[str, Any], fields: Sequence[Field]) -> list[Text]:
    """The texts at the fields of a value; fields that it lacks, and empty texts, have none."""
    found: list[Text] = []
    for path, tokens in fields:
        here = get_text_at_path(value, tokens)
        names = (
            [path] if len(here) == 1 else [f"{path}.{position}" for position in range(len(here))]
        )
        found += [Text(name, text) for name, text in zip(names, here, strict=True) if text]
    return found
