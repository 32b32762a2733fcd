"""Capabilities of savers, stores and caches, and the rule for capabilities that a backend lacks.

A harness declares each capability that its backend lacks as a gap, with a reason. Clauses of a
declared gap still run, and are expected to fail. If one passes, that is reported as a failure with
the declared reason, so that gaps do not outlive their causes. Nothing is skipped. Clauses about
servers do not apply to a backend whose data is in a file or in memory: see `Place`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

C = TypeVar("C", bound=type)

_STAMP = "__capability__"
DOES_NOT_APPLY: Final = "does not apply to"
"""Prefix of the reason of a case that was not run."""


class Capability(str, enum.Enum):
    """A capability of a saver, a store or a cache. Its value is its name in reports and on the
    command line.
    """

    PUT = "put"
    PUT_WRITES = "put_writes"
    GET_TUPLE = "get_tuple"
    LIST = "list"
    FILTER = "filter"
    DELETE_THREAD = "delete_thread"
    DELETE_FOR_RUNS = "delete_for_runs"
    COPY_THREAD = "copy_thread"
    PRUNE = "prune"
    RETENTION = "retention"
    DELTA_HISTORY = "delta_history"
    ALLOWLIST = "allowlist"
    FIDELITY = "fidelity"
    HOSTILE_INPUT = "hostile_input"
    CONCURRENCY = "concurrency"
    PROCESSES = "processes"
    SETUP = "setup"
    BRIDGE = "bridge"
    TTL = "ttl"
    THREADS = "threads"
    FIND_THREADS = "find_threads"
    STATS = "stats"
    ENCRYPTION = "encryption"
    SHARING = "sharing"
    INTEGRITY = "integrity"
    RECORD_INTEGRITY = "record_integrity"
    RECORD_IDENTITY = "record_identity"
    UNREADABLE = "unreadable"
    OWN_ENCRYPTION = "own_encryption"
    PERSISTENCE = "persistence"
    MODEL = "model"
    UPSTREAM = "upstream"
    NETWORK = "network"
    SERVER_DEATH = "server_death"
    DISK_FULL = "disk_full"
    PERMISSIONS = "permissions"
    ROUND_TRIPS = "round_trips"

    STORE_ITEMS = "store_items"
    STORE_BATCH = "store_batch"
    STORE_SEARCH = "store_search"
    STORE_FILTER = "store_filter"
    STORE_FILTER_FIELDS = "store_filter_fields"
    STORE_NAMESPACES = "store_namespaces"
    STORE_MEANING = "store_meaning"
    STORE_SENTENCES = "store_sentences"
    STORE_TTL = "store_ttl"
    STORE_HOSTILE_INPUT = "store_hostile_input"
    STORE_CONCURRENCY = "store_concurrency"
    STORE_PROCESSES = "store_processes"
    STORE_LIFE = "store_life"
    STORE_MODEL = "store_model"
    STORE_GRAPHS = "store_graphs"
    STORE_NETWORK = "store_network"
    STORE_SERVER_DEATH = "store_server_death"
    STORE_DISK_FULL = "store_disk_full"
    STORE_PERMISSIONS = "store_permissions"

    CACHE_ENTRIES = "cache_entries"
    CACHE_NAMESPACES = "cache_namespaces"
    CACHE_TTL = "cache_ttl"
    CACHE_SIZE = "cache_size"
    CACHE_FAILURES = "cache_failures"
    CACHE_LOOP = "cache_loop"
    CACHE_OUTAGES = "cache_outages"
    CACHE_PROCESSES = "cache_processes"
    CACHE_GRAPHS = "cache_graphs"

    @property
    def meaning(self) -> str:
        """A description of the capability, in one line."""
        return _MEANINGS[self]


_MEANINGS = {
    Capability.PUT: "store a checkpoint, whole or not at all",
    Capability.PUT_WRITES: "store the writes of tasks, in order, each once",
    Capability.GET_TUPLE: "read a checkpoint with its values and pending writes",
    Capability.LIST: "iterate over checkpoints, newest first, holding nothing in between",
    Capability.FILTER: "select checkpoints by their metadata",
    Capability.DELETE_THREAD: "remove a thread and all that belongs to it",
    Capability.DELETE_FOR_RUNS: "remove what given runs have stored",
    Capability.COPY_THREAD: "copy a thread with its whole chain of checkpoints",
    Capability.PRUNE: "remove a thread's history, but nothing that its state needs",
    Capability.RETENTION: "limit the history of all threads by a policy, and delete idle ones",
    Capability.DELTA_HISTORY: "collect a channel's writes along a checkpoint's ancestors",
    Capability.ALLOWLIST: "clone itself with another allowlist, as graph.compile does",
    Capability.FIDELITY: "give every Python value back with its type",
    Capability.HOSTILE_INPUT: "keep ids apart and refuse those that cannot be kept",
    Capability.CONCURRENCY: "be used by many threads at once",
    Capability.PROCESSES: "be used by many processes at once",
    Capability.SETUP: "create its tables safely, any number of times",
    Capability.BRIDGE: "serve the methods of the other flavour too",
    Capability.TTL: "expire whole threads",
    Capability.THREADS: "list threads, in pages",
    Capability.FIND_THREADS: "find threads by metadata and status, and what waits for a person",
    Capability.STATS: "count what is stored",
    Capability.ENCRYPTION: "leave no plaintext when the serializer encrypts",
    Capability.SHARING: "store what is new in a value, not the value again",
    Capability.INTEGRITY: "find damage instead of giving back a wrong value",
    Capability.UNREADABLE: "name a value that cannot be stored or rebuilt, and give no substitute",
    Capability.OWN_ENCRYPTION: "do the same for a serializer that encrypts in a way of its own",
    Capability.RECORD_INTEGRITY: "find a changed byte in any record, and a record that is lost",
    Capability.RECORD_IDENTITY: "find a record that stands in another one's place",
    Capability.PERSISTENCE: "find everything again when opened again",
    Capability.MODEL: "end long random sequences of calls as the reference saver does",
    Capability.UPSTREAM: "pass LangGraph's own conformance suite",
    Capability.NETWORK: "say so when the network fails, and go on when it is back",
    Capability.SERVER_DEATH: "keep what was acknowledged when the server is killed",
    Capability.DISK_FULL: "lose nothing when there is no room left",
    Capability.PERMISSIONS: "serve a user who may only read, and refuse what that user writes",
    Capability.ROUND_TRIPS: "keep to the round trips that its harness states",
    Capability.STORE_ITEMS: "put, get and delete items, and give every JSON value back exactly",
    Capability.STORE_BATCH: "carry out batches: reads first, the last put of a key wins",
    Capability.STORE_SEARCH: "find items by namespace, newest first, in pages",
    Capability.STORE_FILTER: "find items by what their values are",
    Capability.STORE_FILTER_FIELDS: "index declared fields, without a change of any answer",
    Capability.STORE_NAMESPACES: "list namespaces by prefix, suffix and depth",
    Capability.STORE_MEANING: "find items by meaning, the best first, filtered before",
    Capability.STORE_SENTENCES: "rank a paraphrase above what is unrelated, with real embeddings",
    Capability.STORE_TTL: "let items expire",
    Capability.STORE_HOSTILE_INPUT: "keep names apart and refuse those that cannot be kept",
    Capability.STORE_CONCURRENCY: "be used by many threads and tasks at once",
    Capability.STORE_PROCESSES: "be used by many processes at once",
    Capability.STORE_LIFE: "set up, close, and serve the methods of the other flavour",
    Capability.STORE_MODEL: "end long random sequences of batches as a dict does",
    Capability.STORE_GRAPHS: "be the memory of compiled graphs",
    Capability.STORE_NETWORK: "say so when the network fails, and go on when it is back",
    Capability.STORE_SERVER_DEATH: "keep what was acknowledged when the server is killed",
    Capability.STORE_DISK_FULL: "lose nothing when there is no room left",
    Capability.STORE_PERMISSIONS: "serve a user who may only read, and refuse what it writes",
    Capability.CACHE_ENTRIES: "give back what was set, with its type, many values at once",
    Capability.CACHE_NAMESPACES: "keep names apart, and clear exactly what is named",
    Capability.CACHE_TTL: "let values expire, in seconds",
    Capability.CACHE_SIZE: "keep within a bound, the oldest values first",
    Capability.CACHE_FAILURES: "miss what cannot be read, and leave out what cannot be stored",
    Capability.CACHE_LOOP: "never hold up an event loop",
    Capability.CACHE_OUTAGES: "fail no run when the server is away",
    Capability.CACHE_PROCESSES: "be shared by many processes",
    Capability.CACHE_GRAPHS: "spare compiled graphs what they have run before",
}

_OF_SERVERS = {
    Capability.NETWORK: "no network leads to it",
    Capability.SERVER_DEATH: "there is no server",
    Capability.ROUND_TRIPS: "there is no wire",
    Capability.STORE_NETWORK: "no network leads to it",
    Capability.STORE_SERVER_DEATH: "there is no server",
    Capability.CACHE_OUTAGES: "no network leads to it",
}
_OF_FILES = {
    Capability.INTEGRITY: "nothing is on a disk",
    Capability.RECORD_INTEGRITY: "nothing is on a disk",
    Capability.RECORD_IDENTITY: "nothing is on a disk",
    Capability.DISK_FULL: "nothing is on a disk",
    Capability.PROCESSES: "no other process can reach it",
    Capability.STORE_DISK_FULL: "nothing is on a disk",
    Capability.PERMISSIONS: "it has no users",
    Capability.STORE_PERMISSIONS: "it has no users",
    Capability.STORE_PROCESSES: "no other process can reach it",
    Capability.CACHE_PROCESSES: "no other process can reach it",
}


class Place(enum.Enum):
    """Where a backend keeps its data, which determines the clauses that do not apply."""

    SERVER = "a server"
    FILES = "files"
    MEMORY = "memory"

    @property
    def does_not_apply(self) -> Mapping[Capability, str]:
        """Capability -> reason. Clauses of these capabilities do not run and do not count; the
        report lists them.
        """
        return _DOES_NOT_APPLY[self]


_DOES_NOT_APPLY: Final[Mapping[Place, Mapping[Capability, str]]] = {
    Place.SERVER: {},
    Place.FILES: _OF_SERVERS,
    Place.MEMORY: {**_OF_SERVERS, **_OF_FILES},
}


def clauses_of(capability: Capability) -> Callable[[C], C]:
    """Class decorator: the tests defined in this class are clauses of `capability`."""

    def stamp(cls: C) -> C:
        for name, member in vars(cls).items():
            if name.startswith("test_"):
                setattr(member, _STAMP, capability)
        return cls

    return stamp


def capability_of(clause: object) -> Capability | None:
    """The capability that `clauses_of` assigned to a test function, or None."""
    found = getattr(clause, _STAMP, None)
    return found if isinstance(found, Capability) else None
