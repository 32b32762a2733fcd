"""Archives: threads come back as they were, what is encrypted stays so, damage is found."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.sqlite import SqliteSaver as OriginalSaver
from langgraph.types import Command

from checkpoint_base import (
    CorruptValueError,
    DecryptionError,
    InvalidArgumentError,
    MemorySaver,
)
from checkpoint_base.tests.test_importing import assert_same_threads, noted
from checkpoint_base.tests.threads import chat, fill, nested, nested_graph
from checkpoint_sqlite import SqliteSaver
from checkpoint_suite.archive import Archived, export_threads, import_archive, read_archive
from conformance_tests.samples.build import on

ANN = "\xa3ann".encode()  # of the metadata, as msgpack: a text of three characters


@pytest.fixture(params=["suite", "sqlite", "memory"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[Any]]:
    if request.param == "memory":
        yield InMemorySaver()
    else:
        opened = SqliteSaver if request.param == "suite" else OriginalSaver
        with opened.from_conn_string(str(tmp_path / "source.db")) as saver:
            yield saver


@pytest.fixture
def target(tmp_path: Path) -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(tmp_path / "target.db") as saver:
        yield saver


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "threads.ckpt.jsonl.xz"


def test_threads_come_back_as_they_were(
    source: BaseCheckpointSaver[Any], target: SqliteSaver, path: Path
) -> None:
    thread_ids = fill(source)
    written = export_threads(source, path)
    assert written.threads == len(thread_ids)
    assert read_archive(path) == written == import_archive(path, target)
    assert_same_threads(source, target, [name for name in thread_ids if name != "deltas"])
    assert import_archive(path, target) == written  # again: nothing changes
    assert_same_threads(source, target, [name for name in thread_ids if name != "deltas"])


def test_a_graph_goes_on(source: BaseCheckpointSaver[Any], target: SqliteSaver, path: Path) -> None:
    nested(source)
    export_threads(source, path)
    import_archive(path, target)
    nested_graph(target).invoke(Command(resume="two"), on("nested"))
    values = nested_graph(target).get_state(on("nested")).values
    assert values["seen"][-2:] == ["one", "two"]


def test_only_the_threads_that_are_named(target: SqliteSaver, path: Path) -> None:
    source = MemorySaver()
    for name in ("ann", "bob", "cid"):
        chat(source, name)
    assert export_threads(source, path, ["ann", "bob", "nobody"]).threads == 2
    assert import_archive(path, target, ["bob", "cid"]).threads == 1
    assert [thread.thread_id for thread in target.list_threads().threads] == ["bob"]


def test_a_state_that_grows_is_small_in_the_file(path: Path) -> None:
    source = MemorySaver()
    chat(source)
    states = [str(one.checkpoint["channel_values"]) for one in source.list(on("chat", None))]
    export_threads(source, path)
    assert ANN in lzma.decompress(path.read_bytes())
    assert path.stat().st_size < sum(map(len, states)) / 10


def test_what_is_encrypted_stays_encrypted(tmp_path: Path, path: Path) -> None:
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"0123456789abcdef")
    with SqliteSaver.from_conn_string(tmp_path / "a.db", serde=serde) as source:
        chat(source)
        export_threads(source, path)
        text = lzma.decompress(path.read_bytes())
        assert b"turn 1" not in text
        assert ANN not in text
        with SqliteSaver.from_conn_string(tmp_path / "b.db", serde=serde) as target:
            import_archive(path, target)
            assert_same_threads(source, target, ["chat"])
    with (
        SqliteSaver.from_conn_string(tmp_path / "c.db") as other,
        pytest.raises(DecryptionError),
    ):
        import_archive(path, other)


def test_no_class_is_needed(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = MemorySaver(), MemorySaver()
    noted(source)
    monkeypatch.delattr("checkpoint_base.tests.test_importing.Note")
    export_threads(source, path)
    import_archive(path, target)
    monkeypatch.undo()
    assert_same_threads(source, target, ["noted"])


def test_redacted(target: SqliteSaver, path: Path) -> None:
    source = MemorySaver()
    chat(source)
    written = export_threads(source, path, redact=True)
    assert read_archive(path) == written
    text = lzma.decompress(path.read_bytes())
    assert b"turn 1" not in text
    assert ANN not in text
    assert b"msgpack of " in text
    with pytest.raises(InvalidArgumentError, match="redacted"):
        import_archive(path, target)


def test_damage_is_found_before_anything_is_stored(path: Path, target: SqliteSaver) -> None:
    source = MemorySaver()
    nested(source)
    export_threads(source, path)
    whole = lzma.decompress(path.read_bytes()).splitlines(keepends=True)
    head, *middle, end = whole
    swapped = [head, middle[1], middle[0], *middle[2:], end]
    changed = [head, middle[0].replace(b"nested", b"mested", 1), *middle[1:], end]
    for lines in ([head, *middle], [head, *middle[1:], end], swapped, changed, [*whole, end]):
        path.write_bytes(lzma.compress(b"".join(lines)))
        with pytest.raises(CorruptValueError):
            import_archive(path, target)
    assert target.list_threads().threads == []


def test_each_cut_of_the_file_is_found(path: Path, tmp_path: Path) -> None:
    source = MemorySaver()
    nested(source)
    export_threads(source, path)
    data = path.read_bytes()
    for size in range(0, len(data), max(1, len(data) // 97)):
        cut = tmp_path / "cut"
        cut.write_bytes(data[:size])
        with pytest.raises((CorruptValueError, InvalidArgumentError)):
            read_archive(cut)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", lzma.compress(b""), lzma.compress(b"{}\n"), lzma.compress(b"\xff" * 99)],
)
def test_no_archive(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError):
        read_archive(path)


def test_a_newer_format_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkpoint_suite.archive.FORMAT", 2)
    assert export_threads(MemorySaver(), path) == Archived(0, 0)
    monkeypatch.undo()
    with pytest.raises(InvalidArgumentError, match="format 2"):
        read_archive(path)


def test_a_file_that_is_there_stays(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        export_threads(MemorySaver(), path)
    assert path.read_text() == "mine"


def test_what_cannot_be_written_whole_is_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MemorySaver()
    chat(source)

    def fail(entry: Any, **options: Any) -> str:
        if "thread" in entry:
            raise OSError("the disk is full")
        return json.JSONEncoder(**{**options, "separators": (",", ":")}).encode(entry)

    monkeypatch.setattr("checkpoint_suite.archive.json.dumps", fail)
    with pytest.raises(OSError, match="full"):
        export_threads(source, path)
    assert not path.exists()
