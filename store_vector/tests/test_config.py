"""What `index=` and `ttl=` mean, and what is said of those that mean nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from checkpoint_base.errors import InvalidArgumentError
from store_vector.config import IndexSettings, StoreTTL
from store_vector.embedding.embed import embed
from store_vector.embedding.paths import Text, TextDigests, fields_of, texts

INDEX: dict[str, Any] = {"dims": 3, "embed": lambda texts: [[1.0, 0.0, 0.0] for _ in texts]}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"embed": 5}, "index['embed']: wanted a function of a list of texts, "),
        ({"embed": None}, "such as 'openai:text-embedding-3-small', got None"),
        ({"fields": []}, "index['fields']: wanted at least one path, got []"),
        ({"fields": ["a["]}, "'list[0]', 'list[*]', '{a,b}', got 'a['"),
    ],
)
def test_an_index_that_means_nothing(more: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(told)):
        IndexSettings.of({**INDEX, **more})


@pytest.mark.parametrize("path", ["a[", "a[]", "a[x]", "a[0", "a[[0]]", "{a", "{}", "a.{ , }", "."])
def test_paths_that_lead_nowhere_are_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match="wanted paths such as"):
        fields_of("fields", [path])


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", ['{"b": ["x", "y"]}']),
        ("a.b[-1]", ["y"]),
        ("a.b[*]", ["x", "y"]),
        ("*.b", ['["x", "y"]']),
        ("{c,d}", ["z", "1"]),
        ("e]", ["odd"]),
        ("ü.\n", ["too"]),
        ("a..b[0]", ["x"]),
    ],
)
def test_paths_lead_where_langgraph_finds_it(path: str, found: list[str]) -> None:
    value = {"a": {"b": ["x", "y"]}, "c": "z", "d": 1, "e]": "odd", "ü": {"\n": "too"}}
    assert [text for _, text in texts(value, fields_of("fields", [path]))] == found


def test_a_digest_tells_texts_and_fields_apart() -> None:
    told = [
        Text("a", "b c"),
        Text("a", "bc"),
        Text("b", "b c"),
        Text("a b", "c"),
        Text("a", "\ud800"),
    ]
    assert len({one.digest for one in told}) == len(told)
    assert all(re.fullmatch("[0-9a-f]{32}", one.digest) for one in told)


def test_texts_that_are_there_twice_are_one() -> None:
    value = {"a": "x", "l": ["x", "", "y", "x"]}
    found = texts(value, fields_of("fields", ["l[*]", "a"]))
    assert found == [Text("l[*]", "x"), Text("l[*]", "y"), Text("a", "x")]


def test_digests_of_a_value_are_read_field_by_field() -> None:
    value = {"a": "x", "b": {"c": 5}, "l": ["y", "z"]}
    there = TextDigests(json.dumps(value), fields_of("fields", ["a"]))
    assert (there.fields, there.digests) == (["a"], [Text("a", "x").digest])
    assert there.has("b.c", Text("b.c", "5").digest)
    assert there.has("l[*]", Text("l[*]", "z").digest)
    assert not there.has("l[*]", Text("a", "x").digest)
    assert not there.has("none", Text("none", "x").digest)
    assert there.fields == ["a", "b.c", "l[*]", "none"]


@pytest.mark.parametrize("path", ["a\0", "\ud800", "a.\udc00[0]"], ids=ascii)
def test_paths_that_no_database_can_keep_are_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"fields.*(NUL|UTF-8)"):
        fields_of("fields", [path])


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (None, "wanted a list of 1 vectors, got None, of type NoneType"),
        ([0.5], "wanted a list of 3 numbers for each text, got 0.5, of type float"),
        (["abc"], "wanted a list of 3 numbers for each text, got 'abc', of type str"),
        ([["a", "b", "c"]], "wanted numbers: could not convert string to float"),
        ([[1.0, 2.0]], "wanted vectors of 3 dimensions (index['dims']), got one of 2"),
    ],
    ids=str,
)
def test_what_an_embedding_gives_is_said(vectors: Any, told: str) -> None:
    settings = IndexSettings.of({**INDEX, "embed": lambda _: vectors})
    assert settings is not None
    for put, asked in (["text"], []), ([], ["text"]):
        with pytest.raises(InvalidArgumentError, match=re.escape(f"index['embed']: {told}")):
            embed(settings, put, asked)


def test_a_ttl_that_is_no_dict_says_what_is_wanted() -> None:
    told = "wanted a dict such as {'default_ttl': 60} (minutes), with some of ['default_ttl', "
    with pytest.raises(InvalidArgumentError, match=re.escape(told)):
        StoreTTL.of(60)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("key", ["refresh_on_read", "omit_expired"])
@pytest.mark.parametrize("value", ["no", "", 0, 1, []])
def test_a_switch_that_is_none_is_refused(key: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"ttl\['{key}'\]: wanted True or False"):
        StoreTTL.of({key: value})


def test_null_is_the_default() -> None:
    assert StoreTTL.of({"refresh_on_read": None, "omit_expired": None}) == StoreTTL()
    assert StoreTTL.of({"refresh_on_read": False}) == StoreTTL(refresh_on_read=False)
