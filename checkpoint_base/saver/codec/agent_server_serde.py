"""Serializer for savers in LangGraph's Agent Server, with its allow-lists and its encryption."""

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
"""The cipher's name in the type of a stored value: `msgpack+langgraph`."""

_MENDS: Final = (
    "Checkpoints would be stored unencrypted. Either mend that, or remove the encryption, or name "
    "a checkpointer of your own with a serializer that encrypts"
)


class ServerSerializer(JsonPlusSerializer):
    """LangGraph's serializer, for a saver in the Agent Server.

    In strict mode (`LANGGRAPH_STRICT_MSGPACK=true`) it allows the types of all graphs of this
    server. LangGraph's own serializer would not get these allow-lists: the server copies each
    graph, and the copy has no list (langgraph 1.2); and a subgraph passes its list to a clone of
    the server's wrapper around the saver, which cannot be cloned (RecursionError, langgraph-api
    0.16). So this class reads the lists from the graphs, and extends itself instead of cloning.
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
        """Add these types to this serializer's own allow-list, and return the serializer."""
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
    """The types in a graph's state, which LangGraph records on compilation in strict mode.

    `with_config` drops the list, so such a graph is compiled again. Graph factories have no list.
    """
    found = getattr(graph, "_serde_allowlist", None)
    if found is None and (builder := getattr(graph, "builder", None)) is not None:
        found = getattr(builder.compile(), "_serde_allowlist", None)
    return frozenset(found or ())


class Handlers(Protocol):
    """The attributes of langgraph-sdk's `Encryption` that hold its blob handlers."""

    _blob_encryptor: Callable[[Any, bytes], Awaitable[bytes]] | None
    _blob_decryptor: Callable[[Any, bytes], Awaitable[Any]] | None


class ServerCipher:
    """Adapts the blob handlers of the server's `encryption` to a cipher for `EncryptedSerializer`.

    The handlers run on the server's event loop, and the cipher blocks its caller meanwhile, so it
    must be called from another thread. The request's encryption context is stored unencrypted
    before the ciphertext, so that decryption gets the same context.

    Args:
        handlers: an `Encryption` with both blob handlers.
        context: returns the encryption context of the current request.
        loop: the server's event loop.
        aes: decrypts older values that were encrypted with the server's `LANGGRAPH_AES_KEY`.
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
            CheckpointError: the handler raised an error, which is `__cause__`.
            EventLoopError: the caller runs on the server's event loop.
        """
        told = dict(self._context())
        handler = self._handlers._blob_encryptor
        try:
            data = self._wait(handler, told, bytes(plaintext))
        except Exception as error:  # user code may raise anything
            raise CheckpointError(
                f"the server's blob encryptor raised {type(error).__name__}: nothing was stored"
            ) from error
        header = json.dumps(told).encode()
        return _NAME, len(header).to_bytes(4, "big") + header + data

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """Implements `CipherProtocol.decrypt`.

        Raises:
            DecryptionError: the handler raised an error, which is `__cause__`, or the server has no
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
        except Exception as error:  # user code may raise anything
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
    """The serializer for a saver in this server, with the server's encryption if configured.

    Blocks the caller: it reads files and imports modules.

    Raises:
        InvalidArgumentError: encryption is configured but cannot be applied.
        MissingDriverError: `LANGGRAPH_AES_KEY` is set but pycryptodome is not installed.
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
    """Fail if the file configures `encryption`, which `langgraph dev` does not pass to the server.

    Otherwise checkpoints would silently be stored unencrypted.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # not `langgraph dev`: another folder, or a container
        return
    if isinstance(found, dict) and (given := found.get("encryption")):
        raise InvalidArgumentError(
            f"encryption: {path} has it, but this server was not told (`langgraph dev` does not). "
            f"Set LANGGRAPH_ENCRYPTION='{json.dumps(given)}', as an image built by `langgraph "
            f"build` does. {_MENDS}"
        )
