"""Public API of langgraph-checkpoint-suite: open functions, memory backend, errors, TTL policy."""

from checkpoint_base.backends import (
    Backend,
    aopen_cache,
    aopen_saver,
    aopen_store,
    open_cache,
    open_saver,
    open_store,
)
from checkpoint_base.cache import CacheOptions, CacheStats, MemoryCache
from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    ClosedError,
    ConflictError,
    CorruptValueError,
    DecryptionError,
    EventLoopError,
    InvalidArgumentError,
    MissingDriverError,
    NotSetUpError,
    PermissionDeniedError,
    SchemaVersionError,
    TransactionFailedError,
    UncommittedWarning,
    UnencryptedValueError,
    UnreadableValueError,
    UnserializableValueError,
    UnsupportedServerError,
)
from checkpoint_base.memory.saver import MemorySaver
from checkpoint_base.saver.options import SaverOptions
from checkpoint_base.saver.records.kinds import OpenInterrupt, Stats, ThreadInfo, ThreadPage
from checkpoint_base.saver.threads.importing import import_threads
from checkpoint_base.saver.threads.mixin import InterruptConditions, ThreadConditions, ThreadWindow
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.saver.ttl.retention import Retention, RetentionReport

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "BackendUnavailableError",
    "CacheOptions",
    "CacheStats",
    "CheckpointError",
    "ClosedError",
    "ConflictError",
    "CorruptValueError",
    "DecryptionError",
    "EventLoopError",
    "InterruptConditions",
    "InvalidArgumentError",
    "MemoryCache",
    "MemorySaver",
    "MissingDriverError",
    "NotSetUpError",
    "OpenInterrupt",
    "PermissionDeniedError",
    "Retention",
    "RetentionReport",
    "SaverOptions",
    "SchemaVersionError",
    "Stats",
    "TTLPolicy",
    "ThreadConditions",
    "ThreadInfo",
    "ThreadPage",
    "ThreadWindow",
    "TransactionFailedError",
    "UncommittedWarning",
    "UnencryptedValueError",
    "UnreadableValueError",
    "UnserializableValueError",
    "UnsupportedServerError",
    "aopen_cache",
    "aopen_saver",
    "aopen_store",
    "import_threads",
    "open_cache",
    "open_saver",
    "open_store",
]
