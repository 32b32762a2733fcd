"""The strict decoder beside LangGraph's: the same where that succeeds, otherwise an error."""

from __future__ import annotations

import enum
import logging
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import make_dataclass
from typing import Any, cast

import ormsgpack
import pydantic.v1
import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.event_hooks import register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel, Field

from checkpoint_base.saver.codec.strict import (
    Unbuildable,
    keeps_objects_packed,
    load_strictly,
    strict,
    without_objects,
)
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.corpus import HOSTILE
from conformance_tests.samples.values import SPECIMENS


@pytest.fixture
def module() -> Iterator[Any]:
    """A module of the user's, whose classes a test can remove."""
    made = types.ModuleType("users_module")
    sys.modules[made.__name__] = made
    yield made
    sys.modules.pop(made.__name__, None)


def added(module: Any, cls: type) -> Any:
    cls.__module__ = module.__name__
    setattr(module, cls.__name__, cls)
    return cls


def note(module: Any, *fields: str) -> Any:
    return added(module, make_dataclass("Note", fields))


def serializers() -> list[JsonPlusSerializer]:
    return [
        JsonPlusSerializer(),
        JsonPlusSerializer(allowed_msgpack_modules=None),
        JsonPlusSerializer(allowed_msgpack_modules=[type(SPECIMENS["Enum"])]),
    ]


@pytest.mark.parametrize("name", SPECIMENS)
def test_the_same_as_langgraph_wherever_that_succeeds(name: str) -> None:
    permissive = JsonPlusSerializer()
    stored = permissive.dumps_typed({"alone": SPECIMENS[name], "deep": [{"x": [SPECIMENS[name]]}]})
    expected = permissive.loads_typed(stored)
    assert_same(expected, load_strictly(strict(permissive), stored), name)
    for serde in serializers():
        try:
            found = load_strictly(strict(serde), stored)
        except Unbuildable:
            continue  # then its own result is not that of the permissive one
        assert_same(serde.loads_typed(stored), found, name)
        assert_same(expected, found, name)


def test_texts_are_the_same() -> None:
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed(list(HOSTILE))
    assert load_strictly(strict(serde), stored) == serde.loads_typed(stored)


@pytest.mark.parametrize("name", SPECIMENS)
def test_packed_objects_pack_to_the_same_bytes(name: str) -> None:
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed({"x": [SPECIMENS[name]], 1: SPECIMENS[name]})
    packed = keeps_objects_packed(serde)
    assert packed is not None
    assert serde.dumps_typed(packed.loads_typed(stored)) == stored


class Named(BaseModel):
    text: str = Field(alias="Text")


class OldNamed(pydantic.v1.BaseModel):
    text: str = pydantic.v1.Field(alias="Text")


@pytest.mark.parametrize("model", [Named(Text="x"), OldNamed(Text="x")])
def test_a_model_that_does_not_validate_is_made_as_langgraph_makes_it(model: Any) -> None:
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed([model])
    (expected,), (found,) = serde.loads_typed(stored), load_strictly(strict(serde), stored)
    assert (type(found), found.text) == (type(expected), expected.text) == (type(model), "x")


class Inner(BaseModel):
    n: int


class Outer(BaseModel):
    inner: list[Inner] = Field(alias="Inner")


class OldInner(pydantic.v1.BaseModel):
    n: int


class OldOuter(pydantic.v1.BaseModel):
    inner: list[OldInner] = pydantic.v1.Field(alias="Inner")


MODELS: list[Any] = [Outer(Inner=[Inner(n=1)]), OldOuter(Inner=[OldInner(n=1)])]


@pytest.mark.parametrize("model", MODELS)
def test_a_model_whose_parts_would_stay_dicts_is_refused(model: Any) -> None:
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed(model)
    assert serde.loads_typed(stored).inner == [{"n": 1}]
    with pytest.raises(Unbuildable, match="raised ValidationError"):
        load_strictly(strict(serde), stored)


def remove_class(module: Any) -> None:
    del module.Note


def remove_module(module: Any) -> None:
    del sys.modules[module.__name__]


def add_a_field(module: Any) -> None:
    note(module, "text", "added")


def break_import(module: Any) -> None:
    def broken(name: str) -> Any:
        raise RuntimeError(name)

    del module.Note
    module.__getattr__ = broken


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (remove_class, "module 'users_module' has no 'Note'"),
        (remove_module, "importing module 'users_module' raised ModuleNotFoundError"),
        (add_a_field, "constructing it raised TypeError"),
        (break_import, "importing module 'users_module' raised RuntimeError"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": [x]}, lambda x: {frozenset(), x}])
def test_a_class_that_is_not_what_it_was(
    module: Any, change: Callable[[Any], None], reason: str, wrap: Callable[[Any], Any]
) -> None:
    cls = note(module, "text")
    cls.__hash__ = lambda self: 1
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed(wrap(cls("x")))
    change(module)
    with pytest.raises(Unbuildable) as caught:
        load_strictly(strict(serde), stored)
    assert (caught.value.kind, caught.value.reason) == ("users_module.Note", reason)
    assert caught.value.__cause__ is not None
    assert load_strictly(strict(serde), serde.dumps_typed(1)) == 1  # nothing is left of it


def model_with_a_new_field(module: Any) -> Any:
    stored = added(module, type("Note", (BaseModel,), {"__annotations__": {"text": "str"}}))(
        text=""
    )
    added(module, type("Note", (BaseModel,), {"__annotations__": {"text": "str", "n": "int"}}))
    return stored


def enum_without_a_member(module: Any) -> Any:
    stored = added(module, cast("type", enum.Enum("Kind", ["A", "B"]))).B
    added(module, cast("type", enum.Enum("Kind", ["A"])))
    return stored


def date_of_a_subclass(module: Any) -> Any:
    from datetime import datetime

    return added(module, type("Moment", (datetime,), {}))(2026, 1, 1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (model_with_a_new_field, "constructing it raised ValidationError"),
        (enum_without_a_member, "constructing it raised ValueError"),
        (date_of_a_subclass, "LangGraph does not call its method 'fromisoformat'"),
    ],
)
def test_other_things_that_langgraph_gives_back_as_something_else(
    module: Any, make: Callable[[Any], Any], reason: str
) -> None:
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed(make(module))
    with pytest.raises(Unbuildable) as caught:
        load_strictly(strict(serde), stored)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("code", "data", "kind"),
    [
        (99, b"", "msgpack extension 99"),
        (6, ormsgpack.packb(["nonsense", [1], "C", b"1"]), "numpy.ndarray"),
        (6, ormsgpack.packb(["<i4", [2], "C", b"\1\0\0\0"]), "numpy.ndarray"),
    ],
)
def test_extensions_that_langgraph_gives_back_as_none(code: int, data: bytes, kind: str) -> None:
    serde = JsonPlusSerializer()
    stored = "msgpack", ormsgpack.packb([ormsgpack.Ext(code, data)])
    assert serde.loads_typed(stored) == [None]
    with pytest.raises(Unbuildable) as caught:
        load_strictly(strict(serde), stored)
    assert caught.value.kind == kind


def test_the_allowlist_is_that_of_the_serializer_at_each_call(module: Any) -> None:
    cls = note(module, "text")
    serde = JsonPlusSerializer(allowed_msgpack_modules=None)
    reader, stored = strict(serde), serde.dumps_typed(cls("x"))
    events: list[Any] = []
    unregister = register_serde_event_listener(events.append)
    try:
        with pytest.raises(Unbuildable, match="allow-list"):
            load_strictly(reader, stored)
    finally:
        unregister()
    assert events == [{"kind": "msgpack_blocked", "module": "users_module", "name": "Note"}]
    serde._allowed_msgpack_modules = {("users_module", "Note")}
    assert load_strictly(reader, stored) == cls("x")
    assert load_strictly(strict(serde.with_msgpack_allowlist([("m", "n")])), stored) == cls("x")


def test_a_type_that_is_not_registered_is_warned_of_once(
    module: Any, caplog: pytest.LogCaptureFixture
) -> None:
    module.__name__ = "users_other_module"
    sys.modules[module.__name__] = module
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed(note(module, "text")("x"))
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        load_strictly(strict(serde), stored)
    told = [one.getMessage() for one in caplog.records]
    assert len(told) == 1
    assert "users_other_module.Note" in told[0]


def revived(serde: JsonPlusSerializer, text: bytes) -> Any:
    return load_strictly(strict(serde), ("json", text))


def test_json_of_older_versions() -> None:
    serde = JsonPlusSerializer(allowed_json_modules=[("decimal", "Decimal"), ("no", "Where")])
    person = b'{"lc": 2, "type": "constructor", "id": ["users", "Person"], "args": [1]}'
    assert serde.loads_typed(("json", person))["lc"] == 2
    for serializer in (serde, JsonPlusSerializer()):
        with pytest.raises(Unbuildable, match="allowed_json_modules") as caught:
            revived(serializer, b'{"a": [' + person + b"]}")
        assert caught.value.kind == "users.Person"
    nowhere = b'{"lc": 2, "type": "constructor", "id": ["no", "Where"], "args": [1]}'
    with pytest.raises(Unbuildable, match="raised ModuleNotFoundError"):
        revived(serde, nowhere)
    odd = b'{"lc": 2, "type": "constructor", "id": ["decimal", "Decimal"], "args": ["x"]}'
    with pytest.raises(Unbuildable, match="constructing it failed"):
        revived(serde, odd)
    good = (
        b'[{"lc": 2, "type": "constructor", "id": ["uuid", "UUID"], "args": ["%032d"]}, {"a": 1}]'
    )
    assert_same(serde.loads_typed(("json", good % 1)), revived(serde, good % 1), "json")
    error = b'{"lc": 2, "type": "constructor", "id": ["builtins", "ValueError"], "args": ["x"]}'
    everything = JsonPlusSerializer(allowed_json_modules=True)
    assert revived(everything, error) is None  # as LangGraph intends it


class Cipher:
    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "turn", plaintext[::-1]

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return ciphertext[::-1]


def test_an_encrypted_serializer_is_strict_inside(module: Any) -> None:
    outer = EncryptedSerializer(Cipher(), JsonPlusSerializer(pickle_fallback=True))
    stored = outer.dumps_typed([note(module, "text")("x"), 1])
    assert load_strictly(strict(outer), stored) == outer.loads_typed(stored)
    remove_class(module)
    with pytest.raises(Unbuildable, match=r"users_module\.Note"):
        load_strictly(strict(outer), stored)
    assert outer.loads_typed(stored) in ([{"text": "x"}, 1], [None, 1])  # before 4.3
    assert without_objects(outer).loads_typed(stored) == [None, 1]
    packed = keeps_objects_packed(outer)
    assert packed is not None
    assert outer.dumps_typed(packed.loads_typed(stored)) == stored


def test_other_serializers_stay_as_they_are() -> None:
    class Other:
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return "other", repr(obj).encode()

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            return data[1]

    class OwnHook(JsonPlusSerializer):
        def __init__(self) -> None:
            super().__init__()
            self._unpack_ext_hook = lambda code, data: (code, data)

    custom = JsonPlusSerializer(__unpack_ext_hook__=lambda code, data: None)
    for serde in (Other(), OwnHook(), custom, EncryptedSerializer(Cipher(), Other())):
        assert strict(serde) is serde
        assert keeps_objects_packed(serde) is None


def test_a_subclass_keeps_its_methods(module: Any) -> None:
    class Prefixed(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            kind, data = super().dumps_typed(obj)
            return kind, b"!" + data

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            return super().loads_typed((data[0], data[1][1:]))

    serde = Prefixed()
    stored = serde.dumps_typed(note(module, "text")("x"))
    assert load_strictly(strict(serde), stored) == serde.loads_typed(stored)
    remove_class(module)
    with pytest.raises(Unbuildable, match="has no 'Note'"):
        load_strictly(strict(serde), stored)
