"""`StoreConformance`, the base class with all clauses about stores, which a backend subclasses."""

from __future__ import annotations

from typing import ClassVar

from conformance_tests.contract.version import Profile
from conformance_tests.stores.faults.concurrency import StoreConcurrencyClauses, StoreTaskClauses
from conformance_tests.stores.faults.outages import (
    StoreDiskFullClauses,
    StoreNetworkClauses,
    StoreServerDeathClauses,
)
from conformance_tests.stores.faults.permissions import StorePermissionClauses
from conformance_tests.stores.faults.processes import StoreProcessClauses
from conformance_tests.stores.items.batches import BatchClauses
from conformance_tests.stores.items.empty import (
    EmptyBatchClauses,
    EmptyFilterClauses,
    EmptyItemClauses,
    EmptyLifeClauses,
    EmptyNamespaceClauses,
    EmptySearchClauses,
    EmptyTTLClauses,
)
from conformance_tests.stores.items.hostile_input import StoreHostileInputClauses
from conformance_tests.stores.items.items import ItemClauses
from conformance_tests.stores.items.life import StoreLifeClauses
from conformance_tests.stores.items.namespaces import NamespaceClauses
from conformance_tests.stores.items.ttl import StoreTTLClauses
from conformance_tests.stores.items.whole_namespaces import WholeNamespaceClauses
from conformance_tests.stores.search.embedding import EmbeddingClauses
from conformance_tests.stores.search.filter_fields import StoreFilterFieldClauses
from conformance_tests.stores.search.filters import StoreFilterClauses
from conformance_tests.stores.search.meaning import MeaningClauses
from conformance_tests.stores.search.providers import ProviderClauses
from conformance_tests.stores.search.search import SearchClauses
from conformance_tests.stores.stateful import StoreFieldModelClauses, StoreModelClauses

WITHOUT_INDEX = (ItemClauses, BatchClauses, SearchClauses, StoreFilterClauses, NamespaceClauses)
"""Clauses that open stores without an index. A backend with several vector engines needs to run
them with only one of these.
"""


class StoreConformance(
    ItemClauses,
    BatchClauses,
    SearchClauses,
    StoreFilterClauses,
    StoreFilterFieldClauses,
    NamespaceClauses,
    WholeNamespaceClauses,
    MeaningClauses,
    EmbeddingClauses,
    ProviderClauses,
    StoreTTLClauses,
    StoreHostileInputClauses,
    StoreConcurrencyClauses,
    StoreTaskClauses,
    StoreProcessClauses,
    StoreLifeClauses,
    StoreNetworkClauses,
    StoreServerDeathClauses,
    StoreDiskFullClauses,
    StorePermissionClauses,
    StoreModelClauses,
    StoreFieldModelClauses,
    EmptyItemClauses,
    EmptyBatchClauses,
    EmptySearchClauses,
    EmptyFilterClauses,
    EmptyNamespaceClauses,
    EmptyTTLClauses,
    EmptyLifeClauses,
):
    """Every clause about stores, sync and async.

    A backend's whole test file:

        class TestSqliteStore(StoreConformance):
            @pytest.fixture
            def harness(self, tmp_path):
                with closing(SqliteStoreHarness(tmp_path)) as harness:
                    yield harness
    """

    profile: ClassVar[Profile] = "langgraph"
