"""Encrypted values without their key: errors say which value, and whose key."""

from __future__ import annotations

import asyncio
import copy
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoint_base import MemorySaver
from checkpoint_base.errors import DecryptionError, UnencryptedValueError, UnreadableValueError
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_sqlite import SqliteSaver
from conformance_tests.samples.build import Chain, large, on
from conformance_tests.samples.driver_adapter import SyncFacade

Opener = Callable[[Any], Any]


def encrypting(key: bytes = b"k" * 32) -> EncryptedSerializer:
    return EncryptedSerializer.from_pycryptodome_aes(key=key)


@pytest.fixture(params=["reference", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Savers of one database, each with a serializer of its own."""
    with ExitStack() as stack:

        def in_file(serde: Any) -> Any:
            saver = SqliteSaver.from_conn_string(tmp_path / "a.db", serde=serde)
            return stack.enter_context(saver)

        reference = MemorySaver()

        def in_memory(serde: Any) -> Any:
            other = copy.copy(reference)
            other.serde = serde
            return other

        yield in_file if request.param == "sqlite" else in_memory


KEYS = pytest.mark.parametrize(
    ("serde", "told"),
    [
        (encrypting(b"o" * 32), "with another key than this saver's, or is damaged: MAC"),
        (JsonPlusSerializer(), "this saver's serializer does not decrypt"),
    ],
    ids=["wrong key", "no key"],
)


@KEYS
def test_the_error_names_thread_and_value(opened: Opener, serde: Any, told: str) -> None:
    theirs, ours = opened(serde), opened(encrypting())
    chain = Chain(SyncFacade(ours), "ann")
    chain.put({"messages": large(), "n": 1})
    with pytest.raises(DecryptionError, match=re.escape(told)) as caught:
        theirs.get_tuple(on("ann"))
    assert "thread 'ann', " in str(caught.value)
    with pytest.raises(DecryptionError, match="thread 'ann'"):
        list(theirs.list(on("ann")))
    with pytest.raises(DecryptionError, match="thread 'ann'"):
        asyncio.run(theirs.aget_tuple(on("ann")))
    if isinstance(serde, JsonPlusSerializer):
        return
    chain.saver = SyncFacade(theirs)  # its checkpoint has our values
    chain.put({"n": 2})
    with pytest.raises(DecryptionError, match="thread 'ann', channel 'messages': a value of type"):
        theirs.get_tuple(on("ann"))


@KEYS
def test_the_error_names_metadata_and_writes(opened: Opener, serde: Any, told: str) -> None:
    theirs, ours = opened(serde), opened(encrypting())
    chain = Chain(SyncFacade(theirs), "ann")
    chain.put({"a": 1})
    ours.put_writes(chain.head, [("a", "x")], "task")
    with pytest.raises(
        DecryptionError, match=f"'ann', task 'task', write to 'a': .*{re.escape(told)}"
    ):
        theirs.get_tuple(on("ann"))
    chain.put({}, empty=["a"])
    with pytest.raises(DecryptionError, match="thread 'ann', task 'task', write to 'a': "):
        theirs.get_delta_channel_history(config=chain.head, channels=["a"])
    Chain(SyncFacade(ours), "bob").put({}, note="secret")
    with pytest.raises(DecryptionError, match="thread 'bob', metadata of checkpoint "):
        list(theirs.list(on("bob"), filter={"note": "secret"}))


def test_a_value_that_is_not_encrypted_is_named(opened: Opener) -> None:
    plain, ours = opened(JsonPlusSerializer()), opened(encrypting())
    chain = Chain(SyncFacade(ours), "ann")
    chain.put({"a": 1})
    plain.put_writes(chain.head, [("a", "forged")], "task")
    with pytest.raises(UnencryptedValueError, match="thread 'ann', task 'task', write to 'a': "):
        ours.get_tuple(on("ann"))


def test_what_goes_wrong_after_decrypting_is_not_about_keys() -> None:
    class Picky(JsonPlusSerializer):
        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            raise ValueError("no such colour")

    cipher = encrypting().cipher
    stored = EncryptedSerializer(cipher).dumps_typed("blue")
    for serde in (EncryptedSerializer(cipher, Picky()), Picky()):
        with pytest.raises(
            UnreadableValueError, match="the serializer raised ValueError"
        ) as caught:
            Codec(serde).load(stored)
        assert str(caught.value.__cause__) == "no such colour"


def test_a_cipher_of_another_name() -> None:
    stored = "msgpack+rot13", os.urandom(40)
    with pytest.raises(DecryptionError, match="rot13"):
        Codec(encrypting()).load(stored)
