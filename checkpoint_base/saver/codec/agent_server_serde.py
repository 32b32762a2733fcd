"""The serializer of savers in LangGraph's Agent Server: its allow-lists, and its encryption."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoint_base.errors import (
    CheckpointError,
    DecryptionError,
    EventLoopError,
    InvalidArgumentError,
    MissingDriverError,
)

_NAME: Final = "langgraph"
"""The cipher's name in stored types: `msgpack+langgraph`."""

_MENDS: Final = (
    "Checkpoints would be stored unencrypted. Either mend that, or remove the encryption, or name "
    "a checkpointer of your own with a serializer that encrypts"
)


class ServerSerializer(JsonPlusSerializer):
    """LangGraph's serializer, for a saver in the Agent Server.

    In strict mode (`LANGGRAPH_STRICT_MSGPACK=true`) it allows what any graph of this server allows.
    With LangGraph's own serializer a saver would not hear of that: the server makes a copy of each
    graph, which has no allow-list (langgraph 1.2), and a subgraph gives its list to a clone of the
    server's wrapper around the saver, which cannot be cloned (RecursionError, langgraph-api 0.16).
    So this one looks at the graphs, and adds lists to its own where LangGraph would have a clone.
    """

    def __init__(self, **options: Any) -> None:
        self._own: Any = None
        super().__init__(**options)

    @property
    def _allowed_msgpack_modules(self) -> Any:
        return self._own if self._own is True else {*(self._own or ()), *_allowed_by_graphs()}

    @_allowed_msgpack_modules.setter
    def _allowed_msgpack_modules(self, allowed: Any) -> None:
        self._own = allowed

    def with_msgpack_allowlist(
        self, extra_allowlist: Iterable[tuple[str, ...] | type]
    ) -> ServerSerializer:
        """Allow these types, too; returns this serializer itself."""
        merged = super().with_msgpack_allowlist(extra_allowlist)
        if isinstance(merged, ServerSerializer) and merged is not self:
            self._own = {*(self._own or ()), *merged._own}
        return self


def _allowed_by_graphs() -> set[tuple[str, ...]]:
    server = sys.modules.get("langgraph_api.graph")
    graphs = list(getattr(server, "GRAPHS", {}).values())
    return {each for graph in graphs for each in _allowed_by(graph)}


@lru_cache
def _allowed_by(graph: Any) -> frozenset[tuple[str, ...]]:
    """The types in a graph's state, which LangGraph notes when it is compiled in strict mode. A
    graph `with_config` has lost them. Of a function that makes graphs nothing is known.
    """
    found = getattr(graph, "_serde_allowlist", None)
    if found is None and (builder := getattr(graph, "builder", None)) is not None:
        found = getattr(builder.compile(), "_serde_allowlist", None)
    return frozenset(found or ())


class Handlers(Protocol):
    """What is used of the `Encryption` of langgraph-sdk, and where it keeps the blob handlers."""

    _blob_encryptor: Callable[[Any, bytes], Awaitable[bytes]] | None
    _blob_decryptor: Callable[[Any, bytes], Awaitable[Any]] | None


class ServerCipher:
    """The blob handlers of the server's `encryption`, as a cipher for `EncryptedSerializer`.

    The handlers run on the server's event loop, as the server's own calls of them do. So this must
    be called from other threads. A request's encryption context is stored, unencrypted, before the
    ciphertext: decryption gets the context that encryption had.

    Args:
        handlers: an `Encryption` with both blob handlers.
        context: gives the encryption context of the current request.
        loop: the server's event loop.
        aes: decrypts what the server's `LANGGRAPH_AES_KEY` encrypted before.
    """

    def __init__(
        self,
        handlers: Handlers,
        context: Callable[[], Mapping[str, Any]],
        loop: asyncio.AbstractEventLoop,
        aes: CipherProtocol | None = None,
    ) -> None:
        self._handlers = handlers
        self._context = context
        self._loop = loop
        self._aes = aes

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """Implements `CipherProtocol.encrypt`.

        Raises:
            CheckpointError: the handler raised an error, which is the cause.
        """
        told = dict(self._context())
        handler = self._handlers._blob_encryptor
        try:
            data = self._wait(handler, told, bytes(plaintext))
        except Exception as error:  # the handler is the user's: anything
            raise CheckpointError(
                f"the server's blob encryptor raised {type(error).__name__}: nothing was stored"
            ) from error
        header = json.dumps(told).encode()
        return _NAME, len(header).to_bytes(4, "big") + header + data

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """Implements `CipherProtocol.decrypt`.

        Raises:
            DecryptionError: the handler raised an error, which is the cause, or the server has no
                handler for this cipher.
        """
        if ciphername == "aes" and self._aes is not None:
            return self._aes.decrypt(ciphername, ciphertext)
        if ciphername != _NAME:
            raise DecryptionError(f"a value was stored encrypted by another cipher, {ciphername!r}")
        start = 4 + int.from_bytes(ciphertext[:4], "big")
        told = json.loads(ciphertext[4:start])
        try:
            result = self._wait(self._handlers._blob_decryptor, told, ciphertext[start:])
        except Exception as error:  # the handler is the user's: anything
            raise DecryptionError(
                f"the server's blob decryptor raised {type(error).__name__}"
            ) from error
        plaintext: bytes = getattr(result, "plaintext", result)  # it may be a `DecryptResult`
        return plaintext

    def _wait(self, handler: Any, told: dict[str, Any], data: bytes) -> Any:
        if asyncio._get_running_loop() is self._loop:
            raise EventLoopError("the server's encryption cannot be waited for on its own loop")
        from langgraph_sdk import EncryptionContext

        called = handler(EncryptionContext(model="checkpoint", metadata=told), data)
        return asyncio.run_coroutine_threadsafe(called, self._loop).result()


def serializer(loop: asyncio.AbstractEventLoop) -> ServerSerializer | EncryptedSerializer:
    """The serializer for a saver in this server: with its encryption, if it has any. It reads
    files and imports modules.

    Raises:
        InvalidArgumentError: encryption is configured, and cannot be applied.
        MissingDriverError: `LANGGRAPH_AES_KEY` is set, and pycryptodome is not installed.
    """
    plus = ServerSerializer()
    aes = _aes(plus) if os.environ.get("LANGGRAPH_AES_KEY") else None
    if not os.environ.get("LANGGRAPH_ENCRYPTION"):
        _check_file(Path("langgraph.json"))
        return aes or plus
    return EncryptedSerializer(_cipher(loop, aes.cipher if aes else None), plus)


def needs_threads(serde: object) -> bool:
    """Whether a serializer must not be called on the event loop."""
    return isinstance(serde, EncryptedSerializer) and isinstance(serde.cipher, ServerCipher)


def _aes(plus: ServerSerializer) -> EncryptedSerializer:
    try:
        return EncryptedSerializer.from_pycryptodome_aes(serde=plus)
    except ImportError as error:
        raise MissingDriverError.of("LANGGRAPH_AES_KEY", "encryption") from error
    except ValueError as error:
        raise InvalidArgumentError(str(error)) from error


def _cipher(loop: asyncio.AbstractEventLoop, aes: CipherProtocol | None) -> ServerCipher:
    try:
        context = import_module("langgraph_api.encryption.context").get_encryption_context
        handlers = import_module("langgraph_api.encryption.custom").get_custom_encryption_instance()
    except (ImportError, AttributeError) as error:
        raise InvalidArgumentError(
            f"encryption: this server has another interface than langgraph-api 0.16. {_MENDS}"
        ) from error
    pair = ("_blob_encryptor", "_blob_decryptor")
    if any(getattr(handlers, name, None) is None for name in pair):
        raise InvalidArgumentError(
            "encryption: wanted an Encryption with both @encryption.encrypt.blob and "
            f"@encryption.decrypt.blob. {_MENDS}"
        )
    return ServerCipher(handlers, context, loop, aes)


def _check_file(path: Path) -> None:
    """`langgraph dev` does not hand the file's `encryption` to the server."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # started otherwise: from another folder, in a container
        return
    if isinstance(found, dict) and (given := found.get("encryption")):
        raise InvalidArgumentError(
            f"encryption: {path} has it, but this server was not told (`langgraph dev` does not). "
            f"Set LANGGRAPH_ENCRYPTION='{json.dumps(given)}', as an image built by `langgraph "
            f"build` does. {_MENDS}"
        )
