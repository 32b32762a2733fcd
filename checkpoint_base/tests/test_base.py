"""The small parts: versions, metadata, filters, TTL, configs, URLs, migrations."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

import checkpoint_base
from checkpoint_base import MemorySaver, TTLPolicy, aopen_saver, errors, open_saver, open_store
from checkpoint_base.errors import (
    CheckpointError,
    InvalidArgumentError,
    SchemaVersionError,
    UnreadableValueError,
)
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import address
from checkpoint_base.saver.filters import json_equal, matches
from checkpoint_base.saver.planner import ThreadQuery
from checkpoint_base.saver.records.json_text import is_plain
from checkpoint_base.saver.records.versions import version_key, version_of
from checkpoint_base.saver.ttl.sweeper import Sweeper
from checkpoint_base.sql.migrations import Migration, pending
from conformance_tests.samples.build import values

VERSIONS = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    | st.integers()
    | st.floats(allow_nan=False)
    | st.builds(lambda n, r: f"{n:032}.{r:016}", st.integers(0, 10**32), st.floats(0, 1))
)


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which relative paths are in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@given(VERSIONS, VERSIONS)
def test_a_version_comes_back_with_its_type_and_has_a_key_of_its_own(a: Any, b: Any) -> None:
    back = version_of(version_key(a))
    assert (type(back), back) == (type(a), a)
    same = type(a) is type(b) and repr(a) == repr(b)
    assert (version_key(a) == version_key(b)) == same


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        (None, None, True),
        ((1, 2), [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": [1, {"b": None}]}, {"a": (1.0, {"b": None})}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ("ab", ["a", "b"], False),
        ({}, [], False),
        ({}, None, False),
    ],
)
def test_metadata_is_compared_as_json(a: Any, b: Any, equal: bool) -> None:
    assert json_equal(a, b) is json_equal(b, a) is equal


def test_a_missing_key_equals_none_and_a_dotted_key_is_no_path() -> None:
    assert matches({"a": 1}, {"b": None})
    assert not matches({"a": {"b": 1}}, {"a.b": 1})
    assert matches({"a.b": 1}, {"a.b": 1})
    assert matches({}, {})
    assert matches({}, None)


@pytest.mark.parametrize("value", [1, 1.5, "é\0", None, True, [1, (2, {"a": []})], {"x": {}}])
def test_plain_metadata(value: Any) -> None:
    assert is_plain(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, b"", {1: 2}, {"a": {3}}, [object()], 1j])
def test_metadata_that_json_would_change(value: Any) -> None:
    assert not is_plain(value)


@pytest.mark.parametrize(
    "ttl",
    [
        {"default_ttl": 0},
        {"default_ttl": -1},
        {"default_ttl": "5"},
        {"default_ttl": math.nan},
        {"default_ttl": math.inf},
        {"default_ttl": True},
        {"strategy": "forget"},
        {"sweep_interval_minutes": 0},
        {"sweep_limit": 0},
        {"sweep_limit": "all"},
        {"default_tll": 5},
        {"refresh_on_read": "no"},
        {"refresh_on_read": 0},
        [5],
        5,
    ],
)
def test_a_ttl_that_means_nothing_is_refused_by_name(ttl: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="ttl"):
        TTLPolicy.of(ttl)


def test_ttl_is_in_minutes() -> None:
    policy = TTLPolicy.of({"default_ttl": 0.4})
    assert policy.expiry(1000.0, None) == 1024.0
    assert policy.expiry(1000.0, 2) == 1120.0
    assert TTLPolicy.of(None).expiry(1000.0, None) is None


@pytest.mark.parametrize("ttl", [4e9 + 1, 1e308, 10**400], ids=lambda ttl: f"{ttl!r:.9}")
def test_a_ttl_beyond_the_calendar_is_refused_by_name(ttl: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"configurable.*ttl.*at most 4000000000 min"):
        address({"configurable": {"thread_id": "t", "ttl": ttl}})
    assert TTLPolicy.of({"default_ttl": 4e9}).expiry(time.time(), None)


def test_an_expiry_beyond_the_calendar_is_shown_as_its_end() -> None:
    """An earlier version has stored it."""
    rows = [(f"{expires}", 0.0, 0.0, expires) for expires in (60.0, 3e11, math.inf, None)]
    page = ThreadQuery.of("", None, None, 10, None).page(rows)
    last = datetime.max.replace(tzinfo=timezone.utc)
    assert [one.expires_at for one in page.threads] == [
        datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc),
        last,
        last,
        None,
    ]


def test_a_sweeper_may_wait_longer_than_a_lock_can() -> None:
    sweeper = Sweeper(4e9)
    sweeper.start(lambda: 0)
    time.sleep(0.05)
    assert "ttl-sweeper" in {thread.name for thread in threading.enumerate()}
    sweeper.stop()


def test_stopping_a_sweeper_does_not_wait_longer_than_asked() -> None:
    sweeper, begun, go_on = Sweeper(60), threading.Event(), threading.Event()

    def sweep() -> None:
        begun.set()
        go_on.wait()

    ended = sweeper.start(sweep, 0.0001)
    assert begun.wait(60)
    assert sweeper.start(sweep) is ended  # it runs already
    assert sweeper.stop(timeout=0.01) is False
    assert not ended.done()
    after = sweeper.start(lambda: 0)  # the second begins when the first has ended
    go_on.set()
    assert ended.result(60) is None
    assert after.cancel()
    assert sweeper.stop() is True
    assert sweeper.stop() is True


def test_a_cancelled_sweeper_ends() -> None:
    sweeper = Sweeper(60)
    assert sweeper.start(lambda: 0).cancel()
    assert sweeper.stop(timeout=60) is True
    with pytest.raises(InvalidArgumentError, match="sweep_interval_minutes"):
        sweeper.start(lambda: 0, -1)


def test_the_agent_server_s_own_shape_is_understood() -> None:
    shape = {"strategy": "delete", "default_ttl": 5, "sweep_interval_minutes": None}
    assert TTLPolicy.of({**shape, "sweep_limit": 10}).sweep_limit == 10
    assert TTLPolicy.of(shape) == TTLPolicy(default_ttl=5.0)
    assert TTLPolicy.of({**shape, "refresh_on_read": None}) == TTLPolicy(default_ttl=5.0)
    assert TTLPolicy.of({"refresh_on_read": False}) == TTLPolicy(refresh_on_read=False)


@pytest.mark.parametrize(
    ("configurable", "got"),
    [
        (None, r"no thread_id among \[\]"),
        ({}, r"no thread_id among \[\]"),
        ({"x": 1, 5: 2}, r"no thread_id among \['5', 'x'\]"),
        ({"thread_id": None}, "thread_id None"),
    ],
)
def test_a_config_without_a_thread_says_what_is_wanted(configurable: Any, got: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"thread_id.*got {got}$"):
        address({} if configurable is None else {"configurable": configurable})


def test_encrypted_metadata_keeps_only_its_base_readable() -> None:
    class Plain:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "none", plaintext[::-1]

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            return ciphertext[::-1]

    from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

    codec = Codec(EncryptedSerializer(Plain(), JsonPlusSerializer()))
    config: Any = {"configurable": {"thread_id": "t", "user": "Ann"}}
    put = codec.draft(config, {"id": "1"}, {"source": "loop", "step": 1, "run_id": "r"}, {})  # type: ignore[typeddict-item]
    assert "Ann" not in put.checkpoint.metadata
    assert codec.metadata(put.checkpoint.metadata, put.checkpoint.sealed) == {
        "source": "loop",
        "step": 1,
        "run_id": "r",
        "user": "Ann",
    }


def test_a_run_id_that_no_database_can_keep_is_refused_by_name() -> None:
    codec = Codec(JsonPlusSerializer())
    config: Any = {"configurable": {"thread_id": "t"}}
    with pytest.raises(InvalidArgumentError, match="run_id"):
        codec.draft(config, {"id": "1"}, {"run_id": "\ud800"}, {})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://x", "unknown scheme 'mysql://'; known: memory, sqlite, postgresql, redis"),
        ("://", "unknown scheme; known: memory, sqlite"),
        ("agent.db", "a file is sqlite:///agent.db"),
        ("sqlite:/x", "a file is sqlite:///agent.db"),
        ("memory", "one of memory, sqlite"),
        (Path("agent.db"), "a file is 'sqlite:///agent.db', got a path"),
        (Path("/a b?.db"), "a file is 'sqlite:////a%20b%3F.db', got a path"),
        (None, "wanted text such as 'sqlite:///agent.db', got NoneType"),
        (b"memory://", "wanted text such as 'sqlite:///agent.db', got bytes"),
    ],
)
@pytest.mark.parametrize("open_one", [open_saver, open_store])
def test_a_url_that_is_none_says_what_is_wanted(open_one: Any, url: Any, told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(told)) as caught, open_one(url):
        pass
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    "url",
    [
        "oracle://scott:tiger@db/x",
        "sqlite://scott:tiger@db/x",
        "sqlite:///x?key=tiger",
        "memory://tiger",
        "scott:tiger@db/x",
        "scott:tiger@db://x",
        "tiger",
    ],
)
def test_secrets_in_urls_stay_out_of_messages(url: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught, open_saver(url):
        pass
    assert "tiger" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite:///a.db?mode=ro", "sqlite:///:memory:?cache=shared"])
def test_options_that_a_url_cannot_have(url: str, in_a_folder: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"no options.*%3F"), open_saver(url):
        pass
    assert list(in_a_folder.iterdir()) == []


def test_a_file_name_with_a_question_mark(in_a_folder: Path) -> None:
    with open_saver("sqlite:///a%3F%25.db"):
        pass
    assert (in_a_folder / "a?%.db").exists()


@pytest.mark.parametrize("url", ["memory:///", "memory://x", "memory://?a=1"])
def test_there_is_one_url_for_memory(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="memory:// and nothing"), open_saver(url):
        pass


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("ann", "thread_ids: wanted a list of ids, got the string 'ann'; did you mean ['ann']?"),
        (b"ann", "thread_ids: wanted a list of ids, got b'ann'"),
        ({"ann": 1}, "thread_ids: wanted a list of ids, got {'ann': 1}"),
        (7, "thread_ids: wanted a list of ids, got 7"),
        (None, "thread_ids: wanted a list of ids, got None"),
    ],
)
def test_one_id_is_no_list_of_ids(given: Any, told: str) -> None:
    saver = MemorySaver()
    with pytest.raises(InvalidArgumentError, match=f"^{re.escape(told)}$"):
        saver.prune(given)
    with pytest.raises(InvalidArgumentError, match=re.escape(told)):
        asyncio.run(saver.aprune(given))
    told = told.replace("thread_ids", "run_ids")
    with pytest.raises(InvalidArgumentError, match=f"^{re.escape(told)}$"):
        saver.delete_for_runs(given)
    some: Any = (one for one in ("a", "b"))  # not what is wanted, but what is meant
    saver.prune(some)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://host/x.db"])
def test_a_sqlite_url_needs_a_path(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="sqlite:///"), open_saver(url):
        pass


def test_memory_by_url() -> None:
    with open_saver("memory://") as saver:
        assert isinstance(saver, MemorySaver)

    async def go() -> None:
        async with aopen_saver("memory://") as saver:
            assert isinstance(saver, MemorySaver)

    asyncio.run(go())


def test_a_value_is_stored_at_the_version_that_its_checkpoint_reads() -> None:
    """Whatever `new_versions` says: a checkpoint that was stored can be read."""
    saver = MemorySaver()
    head = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    stored = {**empty_checkpoint(), "channel_values": {"a": 1}, "channel_versions": {"a": 1}}
    saver.put(head, stored, {}, {"a": 2, "b": 1})  # type: ignore[arg-type]  # a dict
    found = saver.get_tuple(head)  # type: ignore[arg-type]
    assert values(found) == {"a": 1}


def test_migrations_run_in_order_and_a_newer_schema_is_named() -> None:
    known = [Migration(1, "a"), Migration(2, "b")]
    assert pending(known, {1}, "it") == known[1:]
    assert pending(known, {1, 2}, "it") == []
    with pytest.raises(SchemaVersionError, match=r"it has schema version 3.*up to 2"):
        pending(known, {1, 2, 3}, "it")


def test_statements_of_a_migration_are_split() -> None:
    sql = "-- about; this\nCREATE TABLE a (b); -- and; that\n\nCREATE TABLE c (d);\n"
    assert Migration(1, sql).statements == ["CREATE TABLE a (b)", "CREATE TABLE c (d)"]


def test_all_errors_have_one_root() -> None:
    kinds = [e for e in vars(errors).values() if isinstance(e, type)]
    found = [e for e in kinds if issubclass(e, Exception) and not issubclass(e, Warning)]
    assert len(found) > 6
    assert all(issubclass(error, CheckpointError) for error in found)


def test_all_errors_are_exported() -> None:
    own = {name for name, e in vars(errors).items() if isinstance(e, type)}
    assert own <= set(checkpoint_base.__all__)
    assert all(getattr(checkpoint_base, name) is getattr(errors, name) for name in own)


def test_a_sweep_tells_which_thread_it_could_not_read(caplog: pytest.LogCaptureFixture) -> None:
    class Locked(JsonPlusSerializer):
        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            raise LookupError(f"no key for {data}")

    now = [0.0]
    ttl = {"strategy": "keep_latest", "default_ttl": 1}
    saver = MemorySaver(serde=Locked(), ttl=ttl, clock=lambda: now[0])
    stored: Any = {"odd one": {"odd": {1, 2}}, "usual": {}}
    for thread, metadata in stored.items():
        saver.put(
            {"configurable": {"thread_id": thread, "checkpoint_ns": ""}},
            empty_checkpoint(),
            metadata,
            {},
        )
    now[0] = 100.0
    assert saver.sweep_ttl() == 1
    (record,) = caplog.records
    assert "'odd one'" in record.getMessage()
    with pytest.raises(UnreadableValueError, match="LookupError"):
        saver.prune(["odd one"])
