"""The conformance suite's harnesses: the template of `checkpoint-conformance init`, filled in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import lmdb
from typing_extensions import Self

from conformance_tests import Place, SaverHarness, StoreHarness
from examples.foreign_backend.database import open_environment
from examples.foreign_backend.saver import LmdbSaver
from examples.foreign_backend.store import LmdbStore


class Opened:
    """An environment in a folder, which other processes may open, too."""

    place = Place.FILES
    databases: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = open_environment(folder)

    def version(self) -> str:
        return "LMDB " + ".".join(map(str, lmdb.version()))

    def rows(self) -> dict[str, int]:
        opened = {name: self.environment.open_db(name.encode()) for name in self.databases}
        with self.environment.begin() as txn:
            return {name: txn.stat(database)["entries"] for name, database in opened.items()}

    def location(self) -> str:
        return str(self.folder)

    @classmethod
    def reopen(cls, location: str) -> Self:
        return cls(Path(location))

    def close(self) -> None:
        self.environment.close()


class Saver(Opened, SaverHarness):
    name = "lmdb saver"
    databases = ("checkpoints", "writes")

    @contextmanager
    def open(self, *, serde: Any = None) -> Iterator[LmdbSaver]:
        yield LmdbSaver(self.environment, serde=serde)


class Store(Opened, StoreHarness):
    name = "lmdb store"
    databases = ("items",)

    @contextmanager
    def open(self) -> Iterator[LmdbStore]:
        yield LmdbStore(self.environment)
