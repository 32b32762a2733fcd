"""The serializer that savers get in the Agent Server, without a server."""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph_sdk import DecryptResult, Encryption, EncryptionContext

from checkpoint_base.agent_server import checkpointer
from checkpoint_base.errors import (
    CheckpointError,
    DecryptionError,
    EventLoopError,
    InvalidArgumentError,
)
from checkpoint_base.saver.codec.agent_server_serde import (
    ServerCipher,
    ServerSerializer,
    serializer,
)
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LANGGRAPH_ENCRYPTION", "LANGGRAPH_AES_KEY", "CHECKPOINT_TTL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHECKPOINT_URL", "memory://")
    monkeypatch.chdir(tmp_path)


def without_handlers() -> Encryption:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is a beta
        return Encryption()


@pytest.fixture
def encryption() -> Any:
    made = without_handlers()

    @made.encrypt.blob
    async def encrypt(context: EncryptionContext, blob: bytes) -> bytes:
        if context.metadata.get("tenant") == "nobody":
            raise LookupError("no key")
        return await asyncio.to_thread(lambda: blob[::-1])

    @made.decrypt.blob
    async def decrypt(context: EncryptionContext, blob: bytes) -> DecryptResult[bytes]:
        if context.metadata.get("tenant") == "gone":
            raise LookupError("no key")
        return DecryptResult(await asyncio.to_thread(lambda: blob[::-1]))

    return made


@pytest.fixture
def told() -> dict[str, Any]:
    return {"tenant": "ann"}


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, encryption: Any, told: dict[str, Any]) -> Any:
    """A server of which this is the encryption; gives what it is made of."""
    server = SimpleNamespace(encryption=encryption)
    monkeypatch.setenv("LANGGRAPH_ENCRYPTION", '{"path": "./encryption.py:encryption"}')
    custom = ModuleType("langgraph_api.encryption.custom")
    context = ModuleType("langgraph_api.encryption.context")
    custom.get_custom_encryption_instance = lambda: server.encryption  # type: ignore[attr-defined]
    context.get_encryption_context = lambda: told  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, custom.__name__, custom)
    monkeypatch.setitem(sys.modules, context.__name__, context)
    return server


async def put_and_read(saver: Any, thread: str, value: Any) -> Any:
    body = checkpoint({"a": value})
    at = await saver.aput(on(thread), body, metadata(note=value), new_versions(body))
    await saver.aput_writes(at, [("a", value)], "task")
    found = await saver.aget_tuple(at)
    return found.checkpoint["channel_values"]["a"], dict(found.metadata)["note"]


@pytest.mark.parametrize("url", ["memory://", "sqlite:///a.db"])
def test_handlers_run_on_the_loop_that_stays_free_for_them(
    configured: Any, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """More calls at once than the loop's own threads, which the handlers use, too."""
    monkeypatch.setenv("CHECKPOINT_URL", url)
    monkeypatch.setenv("CHECKPOINT_TTL", '{"default_ttl": 60, "sweep_interval_minutes": 0.001}')

    async def many() -> None:
        async with checkpointer() as saver:
            texts = [f"text {n}" for n in range(60)]
            found = await asyncio.gather(*(put_and_read(saver, text, text) for text in texts))
            assert found == [(text, text) for text in texts]
            assert set(kinds(saver)) == {"msgpack+langgraph"}

    def kinds(saver: Any) -> list[str]:
        threads = getattr(saver, "threads", {})
        stored = [value[0] for thread in threads.values() for value in thread.values.values()]
        return stored or ["msgpack+langgraph"]

    asyncio.run(many())


def test_errors_of_handlers(configured: Any, told: dict[str, Any]) -> None:
    async def fail() -> None:
        async with checkpointer() as saver:
            told["tenant"] = "nobody"
            with pytest.raises(CheckpointError, match="encryptor raised LookupError"):
                await put_and_read(saver, "ann", 1)
            assert await saver.aget_tuple(on("ann")) is None
            told["tenant"] = "gone"
            with pytest.raises(
                DecryptionError, match=r"thread 'ann'.*decryptor raised LookupError"
            ):
                await put_and_read(saver, "ann", 1)

    asyncio.run(fail())


def test_a_cipher_cannot_wait_on_its_own_loop(encryption: Any) -> None:
    async def wait() -> None:
        cipher = ServerCipher(encryption, dict, asyncio.get_running_loop())
        with pytest.raises(CheckpointError) as caught:
            cipher.encrypt(b"x")
        assert isinstance(caught.value.__cause__, EventLoopError)
        with pytest.raises(DecryptionError, match="rot13"):
            cipher.decrypt("rot13", b"x")

    asyncio.run(wait())


def test_what_the_aes_key_encrypted_before_is_still_read(
    configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = EncryptedSerializer.from_pycryptodome_aes(key=KEY.encode())
    monkeypatch.setenv("LANGGRAPH_AES_KEY", KEY)

    async def read() -> None:
        made = await asyncio.to_thread(serializer, asyncio.get_running_loop())
        assert made.loads_typed(before.dumps_typed([1])) == [1]
        assert (await asyncio.to_thread(made.dumps_typed, [1]))[0] == "msgpack+langgraph"

    asyncio.run(read())


def test_the_servers_aes_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_AES_KEY", KEY)

    async def stored() -> None:
        async with checkpointer() as saver:
            assert await put_and_read(saver, "ann", "x") == ("x", "x")
            assert saver.serde.dumps_typed(1)[0] == "msgpack+aes"

    asyncio.run(stored())
    monkeypatch.setenv("LANGGRAPH_AES_KEY", "short")
    with pytest.raises(InvalidArgumentError, match="16, 24, or 32"):
        asyncio.run(stored())


def refused(match: str) -> None:
    async def enter() -> None:
        async with checkpointer():
            pytest.fail("started, and would have stored plaintext")

    with pytest.raises(InvalidArgumentError, match=match):
        asyncio.run(enter())


def test_an_encryption_without_both_blob_handlers_is_refused(configured: Any) -> None:
    configured.encryption = None
    refused("^encryption: wanted .*blob")
    configured.encryption = without_handlers()
    refused("^encryption: wanted .*blob")


def test_another_server_is_refused(monkeypatch: pytest.MonkeyPatch, configured: Any) -> None:
    monkeypatch.setitem(sys.modules, "langgraph_api.encryption.context", None)
    refused("^encryption: this server has another interface")


def test_an_encryption_that_the_server_was_not_told_of_is_refused(tmp_path: Path) -> None:
    given = {"encryption": {"path": "./encryption.py:encryption"}}
    (tmp_path / "langgraph.json").write_text(json.dumps(given), "utf-8")
    refused("Set LANGGRAPH_ENCRYPTION=")


def test_a_serializer_takes_the_allowlists_of_all_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Note:
        pass

    strict = ServerSerializer(allowed_msgpack_modules=None)
    assert strict._allowed_msgpack_modules == set()
    assert strict.with_msgpack_allowlist([Note]) is strict
    assert strict.with_msgpack_allowlist([("a", "B")]) is strict
    assert strict._allowed_msgpack_modules == {(__name__, "Note"), ("a", "B")}
    compiled = SimpleNamespace(_serde_allowlist={("c", "D")})
    graphs: Any = [GraphOf(compiled._serde_allowlist), GraphOf(None, compiled), lambda: None]
    server = ModuleType("langgraph_api.graph")
    server.GRAPHS = dict(enumerate(graphs))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, server.__name__, server)
    assert strict._allowed_msgpack_modules == {(__name__, "Note"), ("a", "B"), ("c", "D")}
    permissive = ServerSerializer(allowed_msgpack_modules=True)
    assert permissive.with_msgpack_allowlist([Note]) is permissive
    assert permissive._allowed_msgpack_modules is True


class GraphOf:
    def __init__(self, allowed: Any, compiled: Any = None) -> None:
        self._serde_allowlist = allowed
        if compiled is not None:
            self.builder = SimpleNamespace(compile=lambda: compiled)
