"""What each operation asks of the database, counted: a request is a round trip."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from langgraph.checkpoint.base import ChannelVersions

from checkpoint_base.plan import Plan, run
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.planner import HeadQuery, Listing, ThreadQuery
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_redis import RedisSaver
from checkpoint_redis.connection.requests import ScriptCalls
from checkpoint_redis.connection.sync_driver import SyncRedisDriver
from checkpoint_redis.saver.planner import RedisPlanner
from checkpoint_redis.tests.harness import RedisHarness

BIG = "".join(f"{number} bottles of beer on the wall\n" for number in range(2000))
CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Kept(str):
    """The value of a channel that has not changed since the first step."""

    __slots__ = ()


class Counting:
    """Performs plans on a client and notes the scripts of each request."""

    def __init__(self, client: redis.Redis, prefix: str, *, ttl: Any = None) -> None:
        self.driver = SyncRedisDriver(client)
        self.planner = RedisPlanner(TTLPolicy.of(ttl), prefix=prefix)
        self.codec = Codec(RedisSaver.serde)
        self.asked: list[list[str]] = []
        self.run(self.planner.setup())

    def run(self, plan: Plan[Any]) -> Any:
        self.asked.clear()
        return run(plan, self.perform)

    def perform(self, request: Any) -> Any:
        if isinstance(request, ScriptCalls):
            self.asked.append([call.script.name for call in request.calls])
        return self.driver.perform(request)

    def put(self, step: int, **values: Any) -> Any:
        new: ChannelVersions = {n: step for n, one in values.items() if type(one) is not Kept}
        checkpoint: Any = {
            "v": 4,
            "id": f"{step:08}",
            "ts": "",
            "channel_values": {n: str(v) if type(v) is Kept else v for n, v in values.items()},
            "channel_versions": {**dict.fromkeys(values, 1), **new},
            "versions_seen": {},
        }
        config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": f"{step - 1:08}"}}
        metadata: Any = {"step": step, "run_id": "run"}
        return self.run(self.planner.put(self.codec, config, checkpoint, metadata, new))


@pytest.fixture
def client(one_server: RedisHarness) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(one_server.url) as one:
        yield one


@pytest.fixture
def counting(client: redis.Redis, one_server: RedisHarness) -> Counting:
    return Counting(client, one_server.prefix)


def test_setup_asks_once_and_then_only_looks(counting: Counting) -> None:
    counting.run(counting.planner.setup())
    assert counting.asked == [["schema"]]


@pytest.mark.parametrize("ttl", [None, {"default_ttl": 60}], ids=["without ttl", "ttl"])
def test_puts_reads_and_deletion_are_one_script(
    client: redis.Redis, one_server: RedisHarness, ttl: Any
) -> None:
    counting = Counting(client, one_server.prefix, ttl=ttl)
    planner, codec = counting.planner, counting.codec
    for step in range(1, 61):
        config = counting.put(step, a="small", b=BIG + str(step) * 5000 if step % 2 else "small")
        assert counting.asked == [["register", "put"]], step
    for writes in ([("a", 1), ("b", BIG)], [("a", 1)], [("__error__", "e"), ("b", 2)]):
        for task in ("one", "another"):
            counting.run(planner.put_writes(codec, config, writes, task, ""))
            assert counting.asked == [["register", "put_writes"]]
    found = counting.run(planner.get_tuple(codec, CONFIG))
    assert found.checkpoint["channel_values"] == {"a": "small", "b": "small"}
    assert counting.asked == [["get_many"]]
    for limit in (1, 10, 50):
        page = counting.run(planner.list_page(codec, Listing.of(CONFIG, None, None, limit)))
        assert len(page.tuples) == limit
        assert counting.asked == [["list"]]
    counting.run(planner.delta_history(codec, CONFIG, ["a"]))
    assert counting.asked == [["ancestors"]]
    counting.run(planner.delete_thread("t"))
    assert counting.asked == [["delete"], ["unregister"]]
    counting.run(planner.delete_thread("t"))
    assert counting.asked == [["delete"]]


def test_only_a_put_whose_values_are_gone_is_more_than_one_script(counting: Counting) -> None:
    counting.put(1, kept=BIG, a=1)
    for step in range(2, 6):
        counting.put(step, a=step, kept=Kept(BIG))
        assert counting.asked == [["register", "put"]]
    counting.run(counting.planner.delete_thread("t"))
    counting.put(6, a=6, kept=Kept(BIG))
    assert counting.asked == [["register", "put"]] * 2  # refused; all of it
    found = counting.run(counting.planner.get_tuple(counting.codec, CONFIG))
    assert found.checkpoint["channel_values"] == {"a": 6, "kept": BIG}
    counting.put(7, a=7, kept=Kept(BIG))
    assert counting.asked == [["register", "put"]]


def test_a_rare_match_is_one_script(counting: Counting) -> None:
    for step in range(1, 301):
        counting.put(step, a=step)
    listing = Listing.of(CONFIG, {"step": 31}, None, 1)
    page = counting.run(counting.planner.list_page(counting.codec, listing))
    assert [found.metadata["step"] for found in page.tuples] == [31]
    assert counting.asked == [["list"]]


def test_over_all_threads_names_come_first(counting: Counting) -> None:
    for step in range(1, 61):
        counting.put(step, a=step)
    page = counting.run(counting.planner.list_page(counting.codec, Listing.of(None, None, None, 9)))
    assert len(page.tuples) == 9
    assert counting.asked == [["heads"] * 16, ["list_ids"], ["get_many"]]
    counting.run(counting.planner.list_page(counting.codec, page.rest or Listing(remaining=0)))
    counting.run(counting.planner.list_threads(ThreadQuery.of("", None, None, 10, None)))
    assert counting.asked == [["list_threads"] * 16, ["thread_info"]]
    counting.run(counting.planner.list_heads(HeadQuery("", None, None, 10, None, ['"step":60'])))
    assert counting.asked == [["list_threads"] * 16, ["head"]]


def test_names_are_merged_once_for_many_pages(counting: Counting) -> None:
    for step in range(1, 121):
        counting.put(step, a=step)
    rest: Any = Listing.of(None, None, None, None)
    asked = []
    while rest is not None:
        page = counting.run(counting.planner.list_page(counting.codec, rest))
        rest = page.rest
        asked.append([names[0] for names in counting.asked])
    merged = ["heads", "list_ids", "get_many"]
    assert asked == [merged, merged, ["get_many"]]


def test_a_put_on_a_log_that_is_not_known_looks_again(
    counting: Counting, client: redis.Redis, one_server: RedisHarness
) -> None:
    counting.put(1, a=BIG)
    cold = Counting(client, one_server.prefix)
    cold.put(2, a=BIG + "more")
    assert cold.asked == [["register", "put"], ["register", "put"]]
    cold.put(3, a=BIG + "more and more")
    assert cold.asked == [["register", "put"]]
    cold = Counting(client, one_server.prefix)
    cold.run(cold.planner.get_tuple(cold.codec, CONFIG))
    cold.put(4, a=BIG + "and more")  # reading told it
    assert cold.asked == [["register", "put"]]


def test_what_each_script_of_a_page_tells_has_an_epoch_of_its_own(
    counting: Counting, client: redis.Redis, one_server: RedisHarness
) -> None:
    gone, kept = (random.Random(seed).randbytes(50_000) for seed in range(2))
    counting.put(1, a=kept)
    counting.put(10, a=gone)
    other, reader = (Counting(client, one_server.prefix) for _ in range(2))

    def perform(request: Any) -> Any:
        if reader.asked == [["list"]]:  # a filter for step 1 first meets step 10
            other.run(other.planner.delete_thread("t"))
            other.put(1, a=kept)
        return reader.perform(request)

    reader.asked.clear()
    plan = reader.planner.list_page(reader.codec, Listing.of(CONFIG, {"step": 1}, None, 1))
    assert [one.metadata["step"] for one in run(plan, perform).tuples] == [1]
    assert reader.asked == [["list"], ["list"]]
    reader.put(2, a=gone)  # not there any more
    found = other.run(other.planner.get_tuple(other.codec, CONFIG))
    assert found.checkpoint["channel_values"]["a"] == gone


def test_pruning_and_copying(counting: Counting) -> None:
    planner = counting.planner
    for step in range(1, 10):
        counting.put(step, a=step)
    counting.run(planner.copy_thread("t", "u"))
    assert counting.asked == [["snapshot", "thread_info"], ["register", "restore"]]
    counting.run(planner.prune(counting.codec, ["t"], "keep_latest"))
    collection = [["begin_collection", "scan"], ["collect"]]
    assert counting.asked == [["latest"], *collection]
    counting.run(planner.delete_for_runs(["run"]))
    gone = [*collection, ["unregister"]]
    assert counting.asked == [["labelled"] * 16, *gone, *gone, ["correct"] * 2]
    page = counting.run(planner.list_threads(ThreadQuery.of("", None, None, 10, None)))
    assert page.threads == []
    assert counting.asked == [["list_threads"] * 16]  # the list has no entry of them


def test_a_thread_is_registered_before_it_can_exist(
    client: redis.Redis, one_server: RedisHarness
) -> None:
    """Whoever knows that it is there sends both scripts at once: two slots, one round trip."""
    order = []

    def perform(request: Any) -> Any:
        if isinstance(request, ScriptCalls) and len(request.calls) == 2:
            order.append(request.in_order)
        return performed(request)

    counting = Counting(client, one_server.prefix)
    performed = counting.perform
    counting.perform = perform  # type: ignore[method-assign]
    other = Counting(client, one_server.prefix)
    counting.put(1, a=1)
    counting.put(2, a=2)
    other.run(other.planner.delete_thread("t"))
    counting.put(3, a=3)  # refused, then as the first one
    assert order == [True, False, False, True]
    page = counting.run(counting.planner.list_threads(ThreadQuery.of("", None, None, 10, None)))
    assert [thread.thread_id for thread in page.threads] == ["t"]


def test_a_time_to_live_of_the_thread_is_told_to_the_registry_once(
    counting: Counting, client: redis.Redis, one_server: RedisHarness
) -> None:
    """By each process that did not set it."""
    counting.put(1, a=1)
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": "00000001", "ttl": 5}}
    counting.run(counting.planner.put_writes(counting.codec, config, [("a", 1)], "task", ""))
    assert counting.asked == [["register", "put_writes"]]
    counting.put(2, a=2)
    assert counting.asked == [["register", "put"]]
    cold = Counting(client, one_server.prefix)
    cold.put(3, a=3)
    assert cold.asked == [["register", "put"], ["register", "put"], ["register"]]  # another salt
    cold.put(4, a=4)
    assert cold.asked == [["register", "put"]]
    (info,) = cold.run(cold.planner.list_threads(ThreadQuery.of("", None, None, 10, None))).threads
    assert info.expires_at is not None
    (due,) = [
        node.zrange(key, 1, -1, withscores=True)
        for node, key in one_server.keys("threads:*:expires")
        if node.zcard(key) > 1
    ]
    assert due == [(b"t", pytest.approx(info.expires_at.timestamp()))]


def test_scripts_reach_no_key_that_is_not_named(
    client: redis.Redis, one_server: RedisHarness
) -> None:
    """Each thread in one slot, each part of the registry in one."""
    counting = Counting(client, one_server.prefix)
    keys = counting.planner._keys
    for thread in ("", "}", "{", "{}", "a}b", "%", "%7D", "*", "ü", "x" * 1000):
        records, order = keys.thread(thread)
        tag = records[records.index(b"{") + 1 : records.index(b"}")]
        assert tag
        assert order.startswith(records[: records.index(b"}") + 1])
    names = ["", "}", "%7D", "%", "%25", "{}", "a}", "a%7D"]
    assert len({bytes(keys.thread(name)[0]) for name in names}) == len(names)


def test_small_values_are_read_with_their_checkpoint(
    counting: Counting, client: redis.Redis
) -> None:
    """Whatever their number."""
    counting.put(1, a=1, b="x" * 500, c=None)
    client.config_resetstat()
    counting.run(counting.planner.get_tuple(counting.codec, CONFIG))
    told: Any = client.info("commandstats")
    read = told["cmdstat_hget"]["calls"] + told["cmdstat_hmget"]["calls"]
    assert read == 2  # the thread's own record is the other one


def test_what_did_not_change_is_taken_from_the_parent(
    counting: Counting, client: redis.Redis, one_server: RedisHarness
) -> None:
    """A process that does not know the parent reads it first; and looks again where the thread was
    deleted, or made anew.
    """
    counting.put(1, a=1, same="small", kept=BIG)
    cold = Counting(client, one_server.prefix)
    cold.put(2, a=2, same=Kept("small"), kept=Kept(BIG))
    assert cold.asked == [["get_many"], ["register", "put"]]
    cold.put(3, a=3, same=Kept("small"), kept=Kept(BIG))
    assert cold.asked == [["register", "put"]]
    state = {"a": 3, "same": "small", "kept": BIG}
    assert (
        cold.run(cold.planner.get_tuple(cold.codec, CONFIG)).checkpoint["channel_values"] == state
    )

    counting.run(counting.planner.delete_thread("t"))
    cold.put(4, a=4, same=Kept("small"), kept=Kept(BIG))
    assert cold.asked[0] == ["register", "put"]  # refused
    found = counting.run(counting.planner.get_tuple(counting.codec, CONFIG))
    assert found.checkpoint["channel_values"] == {**state, "a": 4}

    new = Counting(client, one_server.prefix)
    new.run(new.planner.delete_thread("t"))
    new.put(1, other=1)
    cold.put(5, a=5, same=Kept("small"), kept=Kept(BIG))
    assert cold.asked[0] == ["register", "put"]  # refused: a kept record is gone
    assert ["get_many"] in cold.asked  # refused: another salt; the parent is not there
    found = new.run(new.planner.get_tuple(new.codec, CONFIG))
    assert found.checkpoint["channel_values"] == {**state, "a": 5}
