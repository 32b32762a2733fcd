"""Tests of `pytest -p conformance_tests.plugin --pyargs conformance_tests --saver …`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance_tests.caches.conformance import CacheConformance
from conformance_tests.command.loading import load
from conformance_tests.savers.conformance import SaverConformance
from conformance_tests.savers.graph_conformance import GraphConformance
from conformance_tests.stores.conformance import StoreConformance
from conformance_tests.stores.graphs import StoreGraphConformance

_USAGE_ERROR = pytest.ExitCode.USAGE_ERROR


class Named:
    """Provides the harness that the command line names."""

    option: str

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        if not request.config.pluginmanager.has_plugin("conformance-run"):
            pytest.exit("the clauses need `pytest -p conformance_tests.plugin`", _USAGE_ERROR)
        folder = tmp_path / "database"
        folder.mkdir()
        with load(request.config.getoption(self.option))(folder) as harness:
            yield harness


class TestSaver(Named, SaverConformance):
    """Every clause about savers."""

    profile = "suite"

    option = "saver"


class TestGraphs(Named, GraphConformance):
    """Every clause about compiled graphs with the saver."""

    profile = "suite"

    option = "saver"


class TestStore(Named, StoreConformance):
    """Every clause about stores."""

    profile = "suite"

    option = "store"


class TestStoreGraphs(Named, StoreGraphConformance):
    """Every clause about compiled graphs with the store."""

    profile = "suite"

    option = "store"


class TestCache(Named, CacheConformance):
    """Every clause about caches, and compiled graphs with them."""

    profile = "suite"

    option = "cache"
