"""Strict decoding: raise an error where LangGraph's `JsonPlusSerializer` returns a substitute.

If LangGraph cannot import a value's class, may not import it (allow-list), or cannot construct it,
it logs a line and returns None, a dict or a string. The hooks of this module build the same objects
as LangGraph's, and raise `Unbuildable` in these cases.
"""

from __future__ import annotations

import copy
import importlib
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import isclass
from typing import Any, Final, get_args

import ormsgpack
from langgraph.checkpoint.serde import jsonplus
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_METHODS, SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.event_hooks import emit_serde_event
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from checkpoint_base.saver.records.kinds import Typed

logger = logging.getLogger(__name__)

ExtHook = Callable[[int, bytes], Any]
"""Decodes a msgpack extension type: (code, data) -> value."""

_RESTORE: Final = "restore the class under that name"
_REPAIR: Final = "let the class accept what was stored"


class Unbuildable(Exception):  # noqa: N818 (the codec makes an error of it, which names the place)
    """A stored value cannot be rebuilt: its type (`module.Class`), the reason, and a remedy."""

    def __init__(self, kind: str, reason: str, remedy: str) -> None:
        super().__init__(kind, reason, remedy)
        self.kind = kind
        self.reason = reason
        self.remedy = remedy


class _Failure(threading.local):
    """The first hook error while this OS thread decodes a value. ormsgpack replaces the error that
    its hook raised with a bare ValueError ("ext_hook failed").
    """

    error: Unbuildable | None = None


_failure: Final = _Failure()


def load_strictly(serde: SerializerProtocol, value: Typed) -> Any:
    """Decode with a serializer that `strict` returned.

    Raises:
        Unbuildable: an object cannot be rebuilt. `__cause__` is the error of its class's import or
            constructor.
    """
    outer, _failure.error = _failure.error, None
    try:
        return serde.loads_typed(value)
    except Exception as error:  # the serializer may replace the hook's error with any other
        if _failure.error is None:
            raise
        raise _failure.error from _failure.error.__cause__ or error
    finally:
        _failure.error = outer


def ext_hook_of(serde: SerializerProtocol) -> ExtHook | None:
    """The ext hook of a LangGraph serializer. None: another serializer, whose "msgpack" values may
    have another format.
    """
    if type(serde).loads_typed is not JsonPlusSerializer.loads_typed:
        return None
    hook: ExtHook = serde._unpack_ext_hook  # type: ignore[attr-defined]
    return hook


def unpack_array(hook: ExtHook, count: int, values: Sequence[bytes]) -> list[Any] | None:
    """Decode `count` concatenated msgpack values as one array. None: one of them fails."""
    if count >= 1 << 16:
        return None
    head = b"\xdc" + count.to_bytes(2, "big")
    outer, _failure.error = _failure.error, None
    try:
        found: list[Any] = ormsgpack.unpackb(
            b"".join((head, *values)), ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS
        )
    except Exception:  # noqa: BLE001 (the hook calls constructors of the user's: anything)
        return None
    finally:
        _failure.error = outer
    return found


def strict(serde: SerializerProtocol) -> SerializerProtocol:
    """A copy of a serializer with this module's hooks. A serializer that is not LangGraph's, or has
    a custom ext hook, is returned unchanged.
    """

    def with_hooks(plus: JsonPlusSerializer) -> tuple[ExtHook, Callable[[Any], Any]]:
        return _ext_hook(plus), lambda value: _revive(plus, value)

    return _hooked(serde, with_hooks)


def without_objects(serde: SerializerProtocol) -> SerializerProtocol:
    """A copy of a serializer that imports no class and decodes msgpack objects as None. Decoding
    cannot fail because of a class, but only entries of plain types are usable.
    """
    return _hooked(serde, lambda _: (lambda _code, _data: None, lambda value: value))


def keeps_objects_packed(serde: SerializerProtocol) -> SerializerProtocol | None:
    """A copy of a serializer that leaves objects packed as `ormsgpack.Ext`, which encodes to the
    same bytes again. JSON of older versions is decoded strictly. None: the serializer is not
    LangGraph's, or a subclass changes how it encodes or decodes.
    """
    plus = serde.serde if isinstance(serde, EncryptedSerializer) else serde
    methods = type(plus).dumps_typed, type(plus).loads_typed
    if methods != (JsonPlusSerializer.dumps_typed, JsonPlusSerializer.loads_typed):
        return None
    found = _hooked(serde, lambda plus: (ormsgpack.Ext, lambda value: _revive(plus, value)))
    return None if found is serde else found


def _hooked(
    serde: SerializerProtocol,
    hooks: Callable[[JsonPlusSerializer], tuple[Callable[[int, bytes], Any], Any]],
) -> SerializerProtocol:
    if isinstance(serde, EncryptedSerializer):
        inner = _hooked(serde.serde, hooks)
        if inner is serde.serde:
            return serde
        outer = copy.copy(serde)
        outer.serde = inner
        return outer
    if not isinstance(serde, JsonPlusSerializer) or serde._custom_unpack_ext_hook:
        return serde
    if serde._unpack_ext_hook.__module__ != jsonplus.__name__:  # a subclass has a custom hook
        return serde
    clone = copy.copy(serde)
    unpack, revive = hooks(serde)
    vars(clone).update(_unpack_ext_hook=unpack, _reviver=revive)
    return clone


def _fail(kind: str, reason: str, remedy: str, cause: BaseException | None = None) -> Unbuildable:
    """Create the error to raise in a hook, and record it for `load_strictly`."""
    error = Unbuildable(kind, reason, remedy)
    error.__cause__ = cause
    if _failure.error is None:
        _failure.error = error
    return error


# ---------------------------------------------------------------------- msgpack


def _ext_hook(serde: JsonPlusSerializer) -> ExtHook:
    """LangGraph's `_create_msgpack_ext_hook`, strict. Reads `serde`'s allow-list at each call."""

    def hook(code: int, data: bytes) -> Any:  # hot path: called once per object
        build = _BUILD.get(code)
        if build is None and code not in _WITHOUT_CLASS:
            raise _fail(f"msgpack extension {code}", "its type is not known", "upgrade langgraph")
        content = ormsgpack.unpackb(data, ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS)
        if build is None:
            return _WITHOUT_CLASS[code](content)
        module, name, payload, *rest = content
        if code == jsonplus.EXT_METHOD_SINGLE_ARG:
            _check_method(module, name, rest[0])
        elif (module, name) not in SAFE_MSGPACK_TYPES:
            _check_allowed(serde, module, name)
        cls = _imported(module, name)
        try:
            return build(cls, payload)
        except Exception as error:  # a user's class may raise anything
            reason = f"constructing it raised {type(error).__name__}"
            raise _fail(f"{module}.{name}", reason, _REPAIR, error) from error

    return hook


def _imported(module: str, name: str) -> Any:
    there = sys.modules.get(module)  # five times as fast as `importlib`
    found = None if there is None else vars(there).get(name)
    return _import(module, name) if found is None else found


def _import(module: str, name: str) -> Any:
    kind = f"{module}.{name}"
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        reason = f"module {module!r} has no {name!r}"
        raise _fail(kind, reason, _RESTORE, error) from error
    except Exception as error:  # a user's module may raise anything
        reason = f"importing module {module!r} raised {type(error).__name__}"
        raise _fail(kind, reason, _RESTORE, error) from error


def _check_allowed(serde: JsonPlusSerializer, module: str, name: str) -> None:
    """Check the allow-list for a type that is not always safe."""
    key = (module, name)
    allowed = serde._allowed_msgpack_modules
    if allowed is True:
        emit_serde_event({"kind": "msgpack_unregistered_allowed", "module": module, "name": name})
        _warn_of_unregistered(module, name)
    elif not allowed or key not in allowed:
        emit_serde_event({"kind": "msgpack_blocked", "module": module, "name": name})
        raise _fail(
            f"{module}.{name}",
            "it is not on the serializer's allow-list",
            f"allow it: JsonPlusSerializer(allowed_msgpack_modules=[{key!r}]), or have it in the "
            "graph's state schema",
        )


@lru_cache(1000)
def _warn_of_unregistered(module: str, name: str) -> None:
    """Log LangGraph's warning, once per type."""
    logger.warning(
        "Deserializing unregistered type %s.%s from checkpoint. This will be blocked in a future "
        "version of LangGraph. Set LANGGRAPH_STRICT_MSGPACK=true to block now, or add to "
        "allowed_msgpack_modules to allow explicitly: [(%r, %r)]",
        *(module, name, module, name),
    )


def _check_method(module: str, name: str, method: str) -> None:
    if (module, name, method) not in SAFE_MSGPACK_METHODS:
        emit_serde_event(
            {"kind": "msgpack_method_blocked", "module": module, "name": name, "method": method}
        )
        raise _fail(
            f"{module}.{name}",
            f"LangGraph does not call its method {method!r}",
            "store a value of a plain type instead",
        )


def _array(content: tuple[str, Any, Any, bytes]) -> Any:
    dtype, shape, order, data = content
    try:
        import numpy as np

        return np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape, order=order)
    except Exception as error:  # numpy is not installed, or does not know the dtype
        reason = f"making the array raised {type(error).__name__}"
        raise _fail(
            "numpy.ndarray", reason, "install the numpy it was stored with", error
        ) from error


def _of_args(cls: Any, args: Any) -> Any:
    if (cls.__module__, cls.__name__) == ("langgraph.types", "Send") and len(args) == 3:
        return cls(args[0], args[1], timeout=args[2])
    return cls(*args)


def _model(cls: Any, values: Mapping[str, Any]) -> Any:
    """Rebuild a Pydantic model. If validation fails (aliases, a changed class), construct it
    without validation, as LangGraph does, unless that would lose data: a required field was not
    stored, or a nested model would stay a dict.
    """
    try:
        return cls(**values)
    except Exception:  # a user's validator may raise anything
        construct = getattr(cls, "model_construct", None) or getattr(cls, "construct", None)
        if construct is None or any(_loses(*field, values) for field in _fields_of(cls)):
            raise
        return construct(**values)


def _fields_of(cls: Any) -> list[tuple[str, Any, bool]]:
    """(name, annotation, is required) of each field of a Pydantic v1 or v2 model."""
    if hasattr(cls, "model_fields"):
        fields = cls.model_fields.items()
        return [(name, field.annotation, field.is_required()) for name, field in fields]
    fields = cls.__fields__.items()
    return [(name, field.outer_type_, bool(field.required)) for name, field in fields]


def _loses(name: str, annotation: Any, is_required: bool, values: Mapping[str, Any]) -> bool:
    if name not in values:
        return is_required
    return _has_dict(values[name]) and _has_model(annotation)


def _has_dict(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_has_dict, value))
    return isinstance(value, Mapping) and bool(value)


def _has_model(annotation: Any) -> bool:
    if isclass(annotation) and hasattr(annotation, "construct"):
        return True
    return any(map(_has_model, get_args(annotation)))


_BUILD: Final[Mapping[int, Callable[[Any, Any], Any]]] = {
    jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG: lambda cls, arg: cls(arg),
    jsonplus.EXT_CONSTRUCTOR_POS_ARGS: _of_args,
    jsonplus.EXT_CONSTRUCTOR_KW_ARGS: lambda cls, values: cls(**values),
    jsonplus.EXT_METHOD_SINGLE_ARG: lambda cls, arg: cls.fromisoformat(arg),
    jsonplus.EXT_PYDANTIC_V1: _model,
    jsonplus.EXT_PYDANTIC_V2: _model,
}

_WITHOUT_CLASS: Final[Mapping[int, Callable[[Any], Any]]] = {
    jsonplus.EXT_DELTA_SNAPSHOT: _DeltaSnapshot,
    jsonplus.EXT_NUMPY_ARRAY: _array,
}


# ---------------------------------------------------------------------- JSON of older versions


def _revive(serde: JsonPlusSerializer, value: dict[str, Any]) -> Any:
    """LangGraph's `_reviver`, strict: it returns None or the dict for an object that it cannot
    revive. For exceptions None is LangGraph's intended result, and is kept.
    """
    revived = serde._reviver(value)
    is_object = value.get("lc") == 2 and value.get("type") == "constructor" and value.get("id")
    if not is_object or not (revived is None or revived is value):
        return revived
    *path, name = value["id"]
    module = ".".join(path)
    if revived is value:
        reason = "it is not on the serializer's allow-list"
        remedy = f"allow it: JsonPlusSerializer(allowed_json_modules=[{tuple(value['id'])!r}])"
        raise _fail(f"{module}.{name}", reason, remedy)
    cls = _imported(module, name)
    if isclass(cls) and issubclass(cls, BaseException):
        return None
    raise _fail(f"{module}.{name}", "constructing it failed", _REPAIR)
