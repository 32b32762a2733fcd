"""Records that are cut short, gone or no numbers any more: scripts calculate with them, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checkpoint_base.errors import CorruptValueError
from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests.samples.build import Chain, large, on
from conformance_tests.samples.driver_adapter import Facade, opened

Damage = Callable[[bytes], bytes | None]


def cut_short(stored: bytes) -> bytes:
    return stored[:3]


def gone(_: bytes) -> None:
    return None


def no_number(stored: bytes) -> bytes:
    return stored[:1] + b"=" + stored[2:]


@pytest.fixture
def saver(one_server: RedisHarness) -> Iterator[Facade]:
    with opened(one_server, "sync") as saver:
        yield saver


@pytest.fixture
def chain(saver: Facade) -> Chain:
    """Two checkpoints, with values and writes that have layouts."""
    chain = Chain(saver)
    chain.put({"a": large(1, 9000), "small": 1}, run_id="run 0")
    chain.write(("a", large(4, 9000)))
    chain.put({"small": 2}, run_id="run 1")
    chain.write(("a", large(3, 9000)))
    return chain


def damage(harness: RedisHarness, begin: bytes, how: Damage) -> None:
    """Change all fields of the only thread's hash that begin so."""
    for node, key, name in list(harness._fields(begin)):
        changed = how(node.hget(key, name))
        if changed is None:
            node.hdel(key, name)
        else:
            node.hset(key, name, changed)


def reads(saver: Facade, chain: Chain) -> dict[str, Callable[[], Any]]:
    return {
        "get": lambda: saver.get_tuple(on(chain.thread_id)),
        "get one": lambda: saver.get_tuple(chain.head),
        "list": lambda: list(saver.list(on(chain.thread_id))),
        "delta history": lambda: saver.get_delta_channel_history(
            config=on(chain.thread_id), channels=["a"]
        ),
    }


def changes(saver: Facade, chain: Chain) -> dict[str, Callable[[], Any]]:
    return {
        "prune": lambda: saver.prune([chain.thread_id]),
        "delete_for_runs": lambda: saver.delete_for_runs(["run 0"]),
    }


@pytest.mark.parametrize("how", [cut_short, gone])
@pytest.mark.parametrize("record", ["n", "v", "w"])
def test_a_record_that_is_cut_short_or_gone_is_an_error(
    saver: Facade, chain: Chain, one_server: RedisHarness, record: str, how: Damage
) -> None:
    damage(one_server, record.encode(), how)
    for read in reads(saver, chain).values():
        with pytest.raises(CorruptValueError):
            read()
    saver.delete_thread(chain.thread_id)
    assert not any(one_server.rows().values())


@pytest.mark.parametrize("change", ["prune", "delete_for_runs"])
@pytest.mark.parametrize("record", ["n", "v", "w"])
def test_what_needs_a_record_that_is_cut_short_is_not_judged(
    saver: Facade, chain: Chain, one_server: RedisHarness, record: str, change: str
) -> None:
    damage(one_server, record.encode(), cut_short)
    with pytest.raises(CorruptValueError):
        changes(saver, chain)[change]()


@pytest.mark.parametrize(
    ("field", "how"),
    [
        *((field, no_number) for field in ("epoch", "end", "revision", "ttl", "expires")),
        *((field, gone) for field in ("epoch", "end", "revision", "ttl", "expires", "hash_salt")),
    ],
)
def test_a_damaged_record_of_a_thread_is_an_error(
    saver: Facade, chain: Chain, one_server: RedisHarness, field: str, how: Damage
) -> None:
    damage(one_server, field.encode(), how)
    calls = {**reads(saver, chain), **changes(saver, chain)}
    calls["put"] = lambda: chain.put({"a": large(5, 9000)})
    for call in calls.values():
        with pytest.raises(CorruptValueError, match="thread"):
            call()
    saver.delete_thread(chain.thread_id)
    assert not any(one_server.rows().values())


def test_a_damaged_name_in_the_order_is_an_error(
    saver: Facade, chain: Chain, one_server: RedisHarness
) -> None:
    (client,) = one_server.nodes
    (order,) = [key for _, key in one_server.keys("{*}:order")]
    newest = client.zrevrangebylex(order, "(o", "[n", 0, 1)[0]
    client.zrem(order, newest)
    client.zadd(order, {newest[:20] + b"\xff" + newest[21:]: 0})
    calls = {**reads(saver, chain), "prune": changes(saver, chain)["prune"]}
    del calls["get one"]  # whose record is there
    for call in calls.values():
        with pytest.raises(CorruptValueError):
            call()


def test_a_parent_that_is_no_text_any_more_is_an_error(
    saver: Facade, chain: Chain, one_server: RedisHarness
) -> None:
    """The walk from a damaged ancestor is checked before its parent is used."""
    middle = chain.head["configurable"]["checkpoint_id"].encode()
    chain.put({"small": 3}, empty=["a"])
    saver.get_delta_channel_history(config=chain.head, channels=["small"])
    (found,) = [each for each in one_server._fields(b"n") if each[2].endswith(middle)]
    node, key, name = found
    stored = node.hget(key, name)
    node.hset(key, name, stored[:40] + b"\xff" + stored[41:])
    with pytest.raises(CorruptValueError):
        saver.get_delta_channel_history(config=chain.head, channels=["small"])


def test_a_sweep_removes_expired_threads_that_are_damaged(one_server: RedisHarness) -> None:
    ttl = {"strategy": "delete", "default_ttl": 10}
    (client,) = one_server.nodes
    with opened(one_server, "sync", ttl=ttl) as saver:
        for thread_id in ("a", "b", "c"):
            Chain(saver, thread_id).put({"small": 1})
        (order,) = [key for _, key in one_server.keys("{b}:order")]
        client.delete(order)
        one_server.advance(3600)
        assert saver.sweep_ttl() == 3
    assert not any(one_server.rows().values())


def test_one_damaged_thread_hides_no_other(
    one_server: RedisHarness, caplog: pytest.LogCaptureFixture
) -> None:
    (client,) = one_server.nodes
    with opened(one_server, "sync") as saver:
        for thread_id in ("a", "b", "c", "d"):
            Chain(saver, thread_id).put({"small": 1})
        for key in ("{b}:order", "{c}:records"):
            client.delete(*(name for _, name in one_server.keys(key)))
        damage_of_d = [key for _, key in one_server.keys("{d}:records")]
        client.hset(damage_of_d[0], "created", "never")
        assert [info.thread_id for info in saver.list_threads().threads] == ["a"]
        assert [repr(record.args)[2] for record in caplog.records if record.args] == ["d", "c", "b"]
        counts = saver.stats()
        assert (counts["threads"], counts["checkpoints"]) == (4, 3)


@pytest.mark.parametrize("change", ["prune", "delete_for_runs"])
@pytest.mark.parametrize("record", ["n", "v", "w"])
def test_a_removal_that_meets_damage_has_removed_nothing(
    saver: Facade, chain: Chain, one_server: RedisHarness, record: str, change: str
) -> None:
    """All is read before anything is removed."""
    chain.put({"a": large(5, 9000)}, run_id="run 0")
    chain.put({"small": 3}, run_id="run 2")
    chain.write(("a", large(6, 9000)))
    if record == "n":  # one of several
        node, key, name = next(iter(one_server._fields(b"n")))
        node.hset(key, name, node.hget(key, name)[:3])
    else:
        damage(one_server, record.encode(), cut_short)
    before = one_server.stored()
    with pytest.raises(CorruptValueError):
        changes(saver, chain)[change]()
    assert one_server.stored() == before
