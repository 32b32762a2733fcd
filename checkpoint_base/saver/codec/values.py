"""Codec of single values: to (type, bytes) and back with one serializer, with precise errors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from checkpoint_base.errors import (
    CheckpointError,
    DecryptionError,
    InvalidArgumentError,
    UnencryptedValueError,
    UnreadableValueError,
    UnserializableValueError,
)
from checkpoint_base.saver.codec.strict import (
    Unbuildable,
    ext_hook_of,
    load_strictly,
    strict,
    unpack_array,
    without_objects,
)
from checkpoint_base.saver.records.kinds import Typed

logger = logging.getLogger(__name__)

OnUnreadable = Literal["raise", "skip", "langgraph"]
"""How to read a value that the serializer cannot rebuild: raise `UnreadableValueError`, omit the
channel or write with a warning, or return the substitute of LangGraph's serializer.
"""

_PLAIN_TYPES: Final = frozenset({"null", "bytes", "bytearray", "json", "msgpack", "pickle"})
"""The types that LangGraph's serializer gives to unencrypted values."""


class ValueCodec:
    """Encodes and decodes values with one serializer.

    Args:
        serde: LangGraph's serializer, or any other.
        on_unreadable: see `OnUnreadable`.
        encrypted: True if the serializer encrypts. Detected for LangGraph's `EncryptedSerializer`
            and every serializer with a `cipher`.

    Raises:
        InvalidArgumentError: `on_unreadable` is invalid.
    """

    __slots__ = ("_encrypted", "_ext_hook", "_marks_type", "_on_unreadable", "_reader", "serde")

    def __init__(
        self,
        serde: SerializerProtocol,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
    ) -> None:
        if on_unreadable not in get_args(OnUnreadable):
            raise InvalidArgumentError(
                f"on_unreadable: wanted one of {get_args(OnUnreadable)}, got {on_unreadable!r}"
            )
        self.serde = serde
        self._on_unreadable = on_unreadable
        self._encrypted = encrypted or hasattr(serde, "cipher")
        self._reader = serde if on_unreadable == "langgraph" else strict(serde)
        self._ext_hook = None if self._encrypted else ext_hook_of(self._reader)
        self._marks_type: bool | None = True if isinstance(serde, EncryptedSerializer) else None

    # ------------------------------------------------------------------ writing

    def dump(self, value: Any, *where: str) -> Typed:
        """Serialize one value.

        Args:
            value: any object.
            where: pairs of kind and name that locate the value in errors: `"thread", "ann"`.

        Raises:
            UnserializableValueError: the serializer failed; `__cause__` is its error.
        """
        try:
            kind, data = self.serde.dumps_typed(value)
        except CheckpointError:
            raise
        except Exception as error:  # the serializer and the value's methods may raise anything
            raise UnserializableValueError(
                f"{place_of(where)}a value of type {_type_name(value)!r} cannot be serialized: "
                f"{type(error).__name__}: {error}"
            ) from error
        return kind, bytes(data)

    def seal(self, value: Typed) -> Typed:
        """Encrypt a serialized value, if this serializer is LangGraph's `EncryptedSerializer` and
        the value is not encrypted yet.

        Raises:
            UnencryptedValueError: the value is not encrypted, and the serializer encrypts by other
                means, which cannot be applied to serialized values.
        """
        if not isinstance(self.serde, EncryptedSerializer):
            self._check_encrypted(value[0])
            return value
        if "+" in value[0]:
            return value
        name, data = self.serde.cipher.encrypt(value[1])
        return f"{value[0]}+{name}", data

    def unseal(self, value: Typed) -> Typed:
        """Decrypt a serialized value, if this serializer is LangGraph's `EncryptedSerializer` and
        the value is encrypted.

        Raises:
            DecryptionError: the value is encrypted with another key, or damaged.
        """
        if not isinstance(self.serde, EncryptedSerializer) or "+" not in value[0]:
            return value
        kind, name = value[0].split("+", 1)
        try:
            return kind, self.serde.cipher.decrypt(name, value[1])
        except (ValueError, AssertionError) as error:  # LangGraph's cipher asserts its name
            raise DecryptionError(
                f"a value of type {value[0]!r} was stored encrypted with another key than this "
                f"saver's, or is damaged: {error}"
            ) from error

    # ------------------------------------------------------------------ reading

    def load(self, value: Typed, *where: str) -> Any:
        """Deserialize one value; `where` as for `dump`.

        Raises:
            UnencryptedValueError: the serializer encrypts, but the value is not encrypted.
            DecryptionError: the value is encrypted with another key, or this serializer has none.
            UnreadableValueError: the serializer cannot rebuild the value.
        """
        return self._load(self._reader, value, where)

    def load_array(self, count: int, values: Sequence[bytes]) -> list[Any] | None:
        """Deserialize `count` values of type msgpack in one step, given as concatenated `values`.

        Returns:
            The values, or None if each must be loaded by itself: the serializer is not LangGraph's,
            it encrypts, or one value cannot be rebuilt, and the error must name it.
        """
        hook = self._ext_hook
        return None if hook is None else unpack_array(hook, count, values)

    def readable(self, value: Typed, *where: str) -> Sequence[Any]:
        """`load`, in a tuple; an empty tuple for an unreadable value under `on_unreadable="skip"`.
        A value whose type belongs to another serializer always raises.
        """
        try:
            return (self.load(value, *where),)
        except UnreadableValueError as error:
            if self._on_unreadable != "skip" or isinstance(error.__cause__, NotImplementedError):
                raise
            logger.warning("left out: %s", error)
            return ()

    def load_entries(self, value: Typed, *where: str) -> dict[str, Any]:
        """`load`, for metadata. Under `on_unreadable="skip"` no entry is omitted: unreadable
        objects become LangGraph's substitutes.
        """
        entries: dict[str, Any]
        try:
            entries = self.load(value, *where)
        except UnreadableValueError as error:
            if self._on_unreadable != "skip":
                raise
            logger.warning("given as LangGraph's serializer does: %s", error)
            entries = self._load(self.serde, value, where)
        return entries

    def load_plain_entries(self, value: Typed, *where: str) -> dict[str, Any]:
        """`load`, for metadata of which the caller needs only entries of plain types. It imports no
        class, and decodes objects as None.
        """
        entries: dict[str, Any] = self._load(without_objects(self.serde), value, where)
        return entries

    def _load(self, reader: SerializerProtocol, value: Typed, where: Sequence[str]) -> Any:
        try:
            self._check_encrypted(value[0])
            return load_strictly(reader, value)
        except (UnencryptedValueError, DecryptionError) as error:
            raise type(error)(place_of(where) + str(error)) from error.__cause__
        except Unbuildable as error:
            raise UnreadableValueError(
                f"{place_of(where)}a stored value of type {error.kind!r} cannot be rebuilt: "
                f"{error.reason}. Either {error.remedy}, or open the saver with "
                "on_unreadable='skip', which leaves it out, or 'langgraph', which gives what "
                "LangGraph's serializer makes of it"
            ) from error.__cause__
        except CheckpointError:
            raise
        except Exception as error:  # a user's serializer may raise anything
            if reason := self._locked(value, error):
                raise DecryptionError(place_of(where) + reason) from error
            raise UnreadableValueError(place_of(where) + _why(value[0], error)) from error

    def _check_encrypted(self, kind: str) -> None:
        """Raise if the serializer encrypts, but the value's type shows that it is unencrypted."""
        if not self._encrypted or "+" in kind:
            return
        if self._marks_type is None:
            self._marks_type = self.serde.dumps_typed(None)[0] not in _PLAIN_TYPES
        if self._marks_type and (
            kind in _PLAIN_TYPES or isinstance(self.serde, EncryptedSerializer)
        ):
            raise UnencryptedValueError(
                f"a stored value of type {kind!r} is not encrypted, but this saver's serializer "
                "encrypts: it was written by another serializer"
            )

    def _locked(self, value: Typed, error: Exception) -> str:
        """The reason why decryption failed; empty if the error has another cause."""
        if self._encrypted and not isinstance(self.serde, EncryptedSerializer):
            return (
                f"a value of type {value[0]!r} could not be decrypted by this saver's serializer: "
                f"{type(error).__name__}"
            )
        if "+" not in value[0]:
            return ""
        if self._encrypted:
            try:
                self.unseal(value)
            except DecryptionError as locked:
                return str(locked)
        elif isinstance(error, NotImplementedError):  # LangGraph's error for an unknown type
            return (
                f"a value of type {value[0]!r} was stored encrypted, but this saver's serializer "
                "does not decrypt: give serde= the EncryptedSerializer that it was written with"
            )
        return ""


def _why(kind: str, error: Exception) -> str:
    """The message for a value that the serializer failed to decode, with its own error."""
    if isinstance(error, NotImplementedError):  # LangGraph's error for an unknown type
        remedy = (
            "JsonPlusSerializer(pickle_fallback=True)" if kind == "pickle" else "the one it has"
        )
        return (
            f"a stored value of type {kind!r} was written by another serializer than this saver's: "
            f"give serde= {remedy}"
        )
    return (
        f"a stored value of type {kind!r} cannot be rebuilt: the serializer raised "
        f"{type(error).__name__}. Restore the class that it needs, or open the saver with "
        "on_unreadable='skip', which leaves it out"
    )


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def place_of(where: Sequence[str]) -> str:
    """The location prefix of an error message: `"thread 'ann', channel 'x': "`."""
    pairs = zip(where[::2], where[1::2], strict=True)
    return ", ".join(f"{kind} {name!r}" for kind, name in pairs) + ": " if where else ""
