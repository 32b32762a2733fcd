"""Export and import of threads as archive files, for backups, migration and bug reports.

An archive is xz-compressed JSON Lines (docs/reference/archives.md). Values are serialized, and
encrypted, as in the database. Each line has a checksum; the last line has the total counts.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol
from xxhash import xxh3_64_hexdigest

from checkpoint_base.errors import CorruptValueError, InvalidArgumentError, UnreadableValueError
from checkpoint_base.saver.codec.checkpoints import BASE_METADATA
from checkpoint_base.saver.codec.strict import Unbuildable, keeps_objects_packed
from checkpoint_base.saver.codec.values import ValueCodec
from checkpoint_base.saver.config import config_of
from checkpoint_base.saver.records.kinds import Typed
from checkpoint_base.saver.threads.importing import (
    ThreadImport,
    parent_of,
    reader_of,
    thread_names,
    thread_tuples,
)

FORMAT: Final = 1
_NAME: Final = "langgraph-checkpoint-suite"
_FILTERS: Final = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 64 << 20}]
"""Fast compression, with a window of 64 MB: it deduplicates consecutive versions of states up to
that size.
"""
_REDACTED: Final = "redacted"


class Archived(NamedTuple):
    """Numbers of threads and checkpoints in an archive."""

    threads: int
    checkpoints: int


def export_threads(
    source: BaseCheckpointSaver[Any],
    path: str | PathLike[str],
    thread_ids: Iterable[str] | None = None,
    *,
    redact: bool = False,
) -> Archived:
    """Write threads to an archive, with all their checkpoints, forks and pending writes.

    Args:
        source: any blocking saver with `list` and `get_tuple`. It is only read.
        path: the file, which must not exist; by convention `….ckpt.jsonl.xz`.
        thread_ids: the threads to export; None: all.
        redact: replace values by their type and size, and the user's metadata by None. A
            redacted archive shows a thread's history, and cannot be imported.

    Raises:
        FileExistsError: the file exists.
        UnreadableValueError: a value cannot be deserialized, and so cannot be exported.
    """
    packed = keeps_objects_packed(source.serde)
    names = thread_names(source) if thread_ids is None else dict.fromkeys(thread_ids)
    reader, serde = reader_of(source, packed), source.serde if packed is None else packed
    with _created(path) as file:
        lines = _LineWriter(file)
        lines.write({"archive": _NAME, "format": FORMAT, "redacted": redact})
        threads = checkpoints = 0
        for name in names:
            writer, before = _ThreadWriter(name, serde, redact=redact), checkpoints
            with _naming(name):
                for one in thread_tuples(reader, name):
                    lines.write(writer.line(one))
                    checkpoints += 1
            threads += checkpoints > before
        lines.write({"threads": threads, "checkpoints": checkpoints})
    return Archived(threads, checkpoints)


@contextmanager
def _created(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """Create an archive; delete it again if the block raises."""
    with lzma.open(path, "xb", check=lzma.CHECK_CRC64, filters=_FILTERS) as file:
        try:
            yield file
        except BaseException:
            Path(path).unlink()
            raise


def import_archive(
    path: str | PathLike[str],
    target: BaseCheckpointSaver[Any],
    thread_ids: Iterable[str] | None = None,
) -> Archived:
    """Store the threads of an archive. The whole file is verified before anything is stored.
    Idempotent: a second import changes nothing.

    Args:
        path: the archive.
        target: any blocking saver with `put` and `put_writes`. Its serializer must be able to
            read the source's values, which for encrypted values takes the same key.
        thread_ids: the threads to import; None: all.

    Returns:
        The numbers of threads and checkpoints that were stored.

    Raises:
        CorruptValueError: the file is damaged or truncated. Nothing was stored.
        InvalidArgumentError: it is not an archive, is redacted, or has a newer format.
        DecryptionError: it is encrypted with another key than that of `target`.
        UnreadableValueError: a value cannot be read by the serializer of `target`.
    """
    read_archive(path)
    wanted = None if thread_ids is None else set(thread_ids)
    serde = keeps_objects_packed(target.serde) or target.serde
    imports: dict[str, ThreadImport] = {}
    with _opened(path) as lines:
        if next(lines)["redacted"]:
            raise InvalidArgumentError("path: a redacted archive has no values to be imported")
        for line in lines:
            thread_id = line.get("thread")
            if thread_id is None or (wanted is not None and thread_id not in wanted):
                continue
            if thread_id not in imports:  # a thread's lines are adjacent, so one reader at a time
                reader = _ThreadReader(thread_id, serde)
                imports[thread_id] = ThreadImport(target, thread_id)
            imports[thread_id].store(reader.tuple(line))
    return Archived(len(imports), sum(each.count for each in imports.values()))


def read_archive(path: str | PathLike[str]) -> Archived:
    """Verify a whole archive: checksums and counts.

    Returns:
        The numbers of threads and checkpoints in it.

    Raises:
        CorruptValueError: the file is damaged or truncated.
        InvalidArgumentError: it is not an archive, or has a newer format.
    """
    names: set[str] = set()
    checkpoints, end = 0, None
    with _opened(path) as lines:
        next(lines)
        for line in lines:
            if end is not None:
                raise CorruptValueError("an archive goes on behind its end")
            if "thread" in line:
                names.add(line["thread"])
                checkpoints += 1
            else:
                end = Archived(line["threads"], line["checkpoints"])
    if end != Archived(len(names), checkpoints):
        raise CorruptValueError("an archive is not whole: its last lines are missing")
    return end


# ---------------------------------------------------------------------- lines


class _LineWriter:
    """Writes JSON objects as lines, each with a checksum of its content and line number."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._number = 0

    def write(self, entry: Mapping[str, Any]) -> None:
        text = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
        self._file.write(_checksum(self._number, text) + b" " + text + b"\n")
        self._number += 1


def _checksum(number: int, text: bytes) -> bytes:
    return xxh3_64_hexdigest(b"%d\n%b" % (number, text)).encode()


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[Iterator[dict[str, Any]]]:
    """The verified lines of an archive. The first line is the header."""
    with lzma.open(path, "rb") as file:
        lines = _lines(file)
        yield lines


def _lines(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    number = -1
    try:
        for number, line in enumerate(file):
            expected, _, text = line.rstrip(b"\n").partition(b" ")
            if _checksum(number, text) != expected:
                break
            entry = json.loads(text)
            if number == 0:
                _check_head(entry)
            yield entry
        else:
            if number < 0:
                raise InvalidArgumentError("path: the file is empty, and no archive")
            return
    except (lzma.LZMAError, EOFError) as error:
        if number < 0:
            raise InvalidArgumentError("path: wanted an archive of export_threads") from error
        raise CorruptValueError(f"an archive is damaged behind line {number + 1}") from error
    if number == 0:
        raise InvalidArgumentError("path: wanted an archive of export_threads")
    raise CorruptValueError(f"line {number + 1} of an archive does not match its checksum")


def _check_head(entry: Mapping[str, Any]) -> None:
    if entry.get("archive") != _NAME:
        raise InvalidArgumentError("path: wanted an archive of export_threads")
    if entry["format"] > FORMAT:
        raise InvalidArgumentError(
            f"path: the archive is of format {entry['format']}, this version reads up to {FORMAT}"
        )


@contextmanager
def _naming(thread_id: str) -> Iterator[None]:
    """Add the thread's id to the error for a value that cannot be deserialized."""
    try:
        yield
    except Unbuildable as error:
        raise UnreadableValueError(
            f"thread {thread_id!r}: a value of type {error.kind!r} cannot be rebuilt: "
            f"{error.reason}"
        ) from error.__cause__


# ---------------------------------------------------------------------- checkpoints

# Bytes become text by latin-1, not base64: repeated bytes stay repeated text, which xz compresses.


def _packed(value: Typed) -> list[str]:
    kind, data = value
    return [kind, data.decode("latin-1")]


def _unpacked(value: list[str]) -> Typed:
    return value[0], value[1].encode("latin-1")


class _ThreadWriter:
    """Encodes a thread's checkpoints as lines. A line only has the values that differ from those of
    its parent checkpoint.
    """

    def __init__(self, thread_id: str, serde: SerializerProtocol, *, redact: bool) -> None:
        self._thread_id = thread_id
        self._serde = serde
        self._redact = redact
        self._versions: dict[tuple[str, str], Mapping[str, Any]] = {}
        """(namespace, checkpoint id) -> version of each channel that has a value."""

    def line(self, one: CheckpointTuple) -> dict[str, Any]:
        checkpoint, values = one.checkpoint, one.checkpoint["channel_values"]
        ns = one.config["configurable"].get("checkpoint_ns", "")
        versions = {name: checkpoint["channel_versions"].get(name) for name in values}
        before = self._versions.get((ns, parent_of(one)), {})
        self._versions[ns, checkpoint["id"]] = versions
        new = [name for name in values if name not in before or before[name] != versions[name]]
        body = {key: value for key, value in checkpoint.items() if key != "channel_values"}
        return {
            "thread": self._thread_id,
            "ns": ns,
            "parent": parent_of(one),
            "checkpoint": _packed(self._serde.dumps_typed(body)),
            "metadata": self._metadata(one.metadata),
            "channels": list(values),
            "values": {name: self._value(values[name]) for name in new},
            "writes": [
                [task_id, channel, self._value(value)]
                for task_id, channel, value in one.pending_writes or ()
            ],
        }

    def _value(self, value: Any) -> list[str]:
        kind, data = self._serde.dumps_typed(value)
        if self._redact:
            return [_REDACTED, f"{kind} of {len(data)} bytes"]
        return _packed((kind, data))

    def _metadata(self, metadata: Mapping[str, Any]) -> list[str]:
        if self._redact:
            metadata = {k: v if k in BASE_METADATA else None for k, v in metadata.items()}
        return _packed(self._serde.dumps_typed(dict(metadata)))


class _ThreadReader:
    """Decodes a thread's lines as checkpoints. Keeps the serialized values of each checkpoint in
    memory, because its children's lines omit the values that they share with it.
    """

    def __init__(self, thread_id: str, serde: SerializerProtocol) -> None:
        self.thread_id = thread_id
        self._codec = ValueCodec(serde)
        self._values: dict[tuple[str, str], dict[str, Typed]] = {}

    def tuple(self, line: Mapping[str, Any]) -> CheckpointTuple:
        ns, parent = line["ns"], line["parent"]
        body = self._load(_unpacked(line["checkpoint"]))
        stored = dict(self._values.get((ns, parent), {}))
        stored |= {name: _unpacked(value) for name, value in line["values"].items()}
        stored = {name: stored[name] for name in line["channels"]}
        self._values[ns, body["id"]] = stored
        checkpoint = {**body, "channel_values": {n: self._load(v) for n, v in stored.items()}}
        return CheckpointTuple(
            config_of(self.thread_id, ns, body["id"]),
            checkpoint,  # type: ignore[arg-type]
            self._load(_unpacked(line["metadata"])),
            config_of(self.thread_id, ns, parent) if parent else None,
            [
                (task_id, channel, self._load(_unpacked(v)))
                for task_id, channel, v in line["writes"]
            ],
        )

    def _load(self, value: Typed) -> Any:
        return self._codec.load(value, "thread", self.thread_id)
