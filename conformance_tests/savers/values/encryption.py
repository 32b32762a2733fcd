"""Clauses about encryption: with an encrypting serializer, the database has no plaintext."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from checkpoint_base.errors import UnencryptedValueError
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint_id,
    ids,
    large,
    metadata,
    new_id,
    on,
    the,
    values,
    writes,
)
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.samples.values import COMMON
from conformance_tests.savers.base import Opener, SaverClauses
from conformance_tests.savers.threads.ttl import SECONDS, policy

KEY = b"0123456789abcdef0123456789abcdef"
MARKER = "tangerine-trumpet"


def encrypting(key: bytes = KEY) -> EncryptedSerializer:
    """LangGraph's own AES serializer."""
    return EncryptedSerializer.from_pycryptodome_aes(key=key)


def secret(name: str) -> str:
    """A text to search for in a dump, short enough not to be split into chunks."""
    return f"{MARKER}-{name}"


def tell(chain: Chain) -> None:
    """Put the marker into every place for user data."""
    hidden: dict[str, Any] = {secret("metadata key"): 1}
    chain.put(
        {
            "text": secret("value"),
            "dict": {"k": secret("in a dict")},
            "bytes": secret("bytes").encode(),
            "large": [secret("large") + f"{n} {large(n, 500)}" for n in range(100)],
        },
        note=secret("metadata"),
        nested={"k": [secret("nested metadata")]},
        **hidden,
    )
    chain.write(("text", secret("write")), ("large", secret("large write") * 500))
    chain.write((ERROR, secret("error")), (INTERRUPT, secret("interrupt")), task="t2")


@clauses_of(Capability.ENCRYPTION)
class EncryptionClauses(SaverClauses):
    """Clauses about savers with an `EncryptedSerializer`."""

    def test_encryption_no_plaintext_is_stored(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """The database has no plaintext of values, writes or user metadata, whole or in part."""
        saver = reopened(serde=encrypting())
        chain = Chain(saver, user=secret("config"))
        for _ in range(3):
            tell(chain)
        saver.copy_thread(chain.thread_id, "copy")
        saver.prune(["copy"])
        stored = harness.stored()
        assert chain.thread_id.encode() in stored, "the dump does not show what is stored"
        assert stored.count(MARKER.encode()) == 0

    def test_encryption_the_dump_would_show_it(self, saver: Facade, harness: SaverHarness) -> None:
        """Without encryption, the plaintext is found, which validates the clause above."""
        tell(Chain(saver))
        stored = harness.stored()
        for name in ("value", "bytes", "large", "metadata", "nested metadata", "write", "error"):
            assert secret(name).encode() in stored, name

    def test_encryption_values_come_back(self, reopened: Opener) -> None:
        """With encryption, types, large values and unchanged channels are read back the same."""
        plain, saver = Chain(reopened(serde=JsonPlusSerializer())), reopened(serde=encrypting())
        chain = Chain(saver)
        for each in (plain, chain):
            each.put(COMMON)
            each.put({"more": large()})
        expected = values(plain.saver.get_tuple(plain.head))
        assert_same(expected, values(saver.get_tuple(chain.head)), "channel_values")

    def test_encryption_metadata_comes_back_and_filters(self, reopened: Opener) -> None:
        """Filters on encrypted metadata give the same results as on plaintext."""
        saver = reopened(serde=encrypting())
        chain = Chain(saver)
        stored = [chain.put({}, n=n, user=f"u{n % 2}", tags=[n]) for n in range(6)]
        assert the(saver.get_tuple(stored[3])).metadata == metadata(
            step=3, n=3, user="u1", tags=[3]
        )
        for wanted, steps in (
            ({"user": "u1"}, [5, 3, 1]),
            ({"user": "u1", "n": 3}, [3]),
            ({"tags": [2]}, [2]),
            ({"user": "u1", "step": 1, "source": "loop"}, [1]),
            ({"user": None}, []),
            ({"missing": None}, [5, 4, 3, 2, 1, 0]),
            ({"n": True}, []),
        ):
            found = saver.list(on(chain.thread_id), filter=wanted)
            assert [each.metadata["step"] for each in found] == steps, wanted
        found = saver.list(on(chain.thread_id), filter={"user": "u0"}, limit=2, before=stored[4])
        assert [each.metadata["step"] for each in found] == [2, 0]

    def test_encryption_runs_can_be_deleted(self, reopened: Opener) -> None:
        """Runs can be deleted without decryption: the database stores `run_id` as plaintext."""
        saver = reopened(serde=encrypting())
        chain = Chain(saver)
        kept = chain.put({"a": 1}, run_id="kept")
        chain.put({"a": 2}, run_id="gone")
        saver.delete_for_runs(["gone"])
        assert ids(saver.list(on(chain.thread_id))) == [checkpoint_id(kept)]

    @pytest.mark.parametrize("what", ["value", "write", "large value"])
    def test_encryption_reading_what_was_not_encrypted(self, reopened: Opener, what: str) -> None:
        """Reading an unencrypted value is an error: an attacker with write access to the database
        must not be able to forge a state."""
        plain, saver = reopened(), reopened(serde=encrypting())
        thread = self.mixed(plain, saver, what)
        reads: list[Any] = [
            lambda: saver.get_tuple(on(thread)),
            lambda: list(saver.list(on(thread))),
            lambda: saver.with_allowlist([("some", "Type")]).get_tuple(on(thread)),
        ]
        for read in reads:
            with pytest.raises(UnencryptedValueError):
                read()

    @staticmethod
    def mixed(plain: Facade, saver: Facade, what: str) -> str:
        """Put a thread that is encrypted except for one record."""
        chain = Chain(saver)
        chain.put({"a": 1})
        if what == "write":
            plain.put_writes(chain.head, [("a", "forged")], "task")
        else:
            other = Chain(plain, chain.thread_id)
            other.put({"a": large() if what == "large value" else "forged"}, id=new_id())
        return str(chain.thread_id)

    def test_encryption_delta_history_of_what_was_not_encrypted(self, reopened: Opener) -> None:
        """Reading the delta history is an error if the seed or a write is not encrypted."""
        plain, saver = reopened(), reopened(serde=encrypting())
        forged_write, forged_seed = Chain(saver), Chain(plain)
        forged_write.put({"log": "seed"})
        plain.put_writes(forged_write.head, [("log", "forged")], "task")
        forged_write.put({}, empty=["log"])
        forged_seed.put({"log": "forged"})
        sealed = forged_seed.fork()
        sealed.saver = saver
        sealed.put({}, empty=["log"])
        for chain in (forged_write, sealed):
            with pytest.raises(UnencryptedValueError):
                saver.get_delta_channel_history(config=chain.head, channels=["log"])

    def test_encryption_wrong_key(self, reopened: Opener) -> None:
        """Reading with the wrong key is an error, whatever the cipher returns."""
        chain = Chain(reopened(serde=encrypting()))
        chain.put({"a": large()})
        chain.write(("a", 1))
        other = reopened(serde=encrypting(KEY[::-1]))
        with pytest.raises(ValueError, match="MAC"):
            other.get_tuple(chain.head)

    def test_encryption_writes_come_back(self, reopened: Opener) -> None:
        """Encrypted pending writes are read back."""
        saver = reopened(serde=encrypting())
        chain = Chain(saver)
        chain.put({"a": 1})
        chain.write(("a", None), ("b", large()), (ERROR, "e"))
        got = [(channel, value) for _, channel, value in writes(saver.get_tuple(chain.head))]
        assert got == [(ERROR, "e"), ("a", None), ("b", large())]


class Turned:
    """A custom serializer that encrypts (weakly), which the saver cannot detect."""

    def __init__(self) -> None:
        self._plus = JsonPlusSerializer()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = self._plus.dumps_typed(obj)
        return f"turned {kind}", bytes(byte ^ 0x55 for byte in data)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        kind = data[0].removeprefix("turned ")
        return self._plus.loads_typed((kind, bytes(byte ^ 0x55 for byte in data[1])))


class TurnedByACipher(Turned):
    """The same with an attribute `cipher`, as LangGraph's `EncryptedSerializer` has."""

    cipher = object()


@clauses_of(Capability.OWN_ENCRYPTION)
class OwnEncryptionClauses(SaverClauses):
    """Clauses about savers with an encrypting serializer that is not LangGraph's."""

    @pytest.fixture(params=["encrypted=True", "a cipher"])
    def options(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        """Options by which the saver learns that its serializer encrypts."""
        if request.param == "a cipher":
            return {"serde": TurnedByACipher()}
        return {"serde": Turned(), "encrypted": True}

    def test_own_encryption_no_plaintext_is_stored(
        self, reopened: Opener, harness: SaverHarness, options: dict[str, Any]
    ) -> None:
        """Metadata is encrypted by the serializer, too, is read back, and can be filtered by."""
        saver = reopened(**options)
        chain = Chain(saver, user=secret("config"))
        tell(chain)
        stored = harness.stored()
        assert chain.thread_id.encode() in stored, "the dump does not show what is stored"
        assert stored.count(MARKER.encode()) == 0
        (found,) = saver.list(on(chain.thread_id), filter={"note": secret("metadata")})
        assert values(found)["text"] == secret("value")
        assert list(saver.list(on(chain.thread_id), filter={"note": "other"})) == []

    def test_own_encryption_reading_what_was_not_encrypted(
        self, reopened: Opener, options: dict[str, Any]
    ) -> None:
        """Reading data whose type tag is another serializer's is an error."""
        plain, saver = reopened(), reopened(**options)
        chain = Chain(saver)
        chain.put({"a": 1})
        plain.put_writes(chain.head, [("a", "forged")], "task")
        with pytest.raises(UnencryptedValueError):
            saver.get_tuple(chain.head)


@clauses_of(Capability.TTL)
class SweepUnderAnotherKeyClauses(SaverClauses):
    """Clauses about sweeps that find unreadable threads."""

    @pytest.mark.parametrize("limit", [None, 1])
    def test_ttl_a_sweep_passes_over_what_it_cannot_read(
        self, reopened: Opener, harness: SaverHarness, limit: int | None
    ) -> None:
        """A sweep skips a thread that is encrypted with another key, and sweeps those after it."""
        ttl = policy(strategy="keep_latest", sweep_limit=limit)
        saver = reopened(serde=encrypting(), ttl=ttl)
        other = reopened(serde=encrypting(KEY[::-1]), ttl=ttl)
        foreign, *own = (Chain(each, user="ada") for each in (other, saver, saver))
        for chain in (foreign, *own):
            for n in range(3):
                chain.put({"n": n})
            harness.advance(1)
        harness.advance(SECONDS)
        assert [saver.sweep_ttl() for _ in range(3)] == ([2, 0, 0] if limit is None else [1, 1, 0])
        assert [len(ids(saver.list(on(chain.thread_id)))) for chain in own] == [1, 1]
        assert len(ids(other.list(on(foreign.thread_id)))) == 3
        assert other.sweep_ttl() == 1
        assert [values(found) for found in other.list(on(foreign.thread_id))] == [{"n": 2}]
