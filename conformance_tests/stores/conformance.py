"""All clauses of stores in one class, for a backend's test file to subclass."""

from __future__ import annotations

from typing import ClassVar

from conformance_tests.contract import Profile
from conformance_tests.stores.batches import BatchClauses
from conformance_tests.stores.concurrency import StoreConcurrencyClauses, StoreTaskClauses
from conformance_tests.stores.embedding import EmbeddingClauses
from conformance_tests.stores.empty import (
    EmptyBatchClauses,
    EmptyFilterClauses,
    EmptyItemClauses,
    EmptyLifeClauses,
    EmptyNamespaceClauses,
    EmptySearchClauses,
    EmptyTTLClauses,
)
from conformance_tests.stores.filter_fields import StoreFilterFieldClauses
from conformance_tests.stores.filters import StoreFilterClauses
from conformance_tests.stores.hostile_input import StoreHostileInputClauses
from conformance_tests.stores.items import ItemClauses
from conformance_tests.stores.life import StoreLifeClauses
from conformance_tests.stores.meaning import MeaningClauses
from conformance_tests.stores.namespaces import NamespaceClauses
from conformance_tests.stores.outages import (
    StoreDiskFullClauses,
    StoreNetworkClauses,
    StoreServerDeathClauses,
)
from conformance_tests.stores.permissions import StorePermissionClauses
from conformance_tests.stores.processes import StoreProcessClauses
from conformance_tests.stores.providers import ProviderClauses
from conformance_tests.stores.search import SearchClauses
from conformance_tests.stores.stateful import StoreFieldModelClauses, StoreModelClauses
from conformance_tests.stores.ttl import StoreTTLClauses

WITHOUT_INDEX = (ItemClauses, BatchClauses, SearchClauses, StoreFilterClauses, NamespaceClauses)
"""They open stores without an index: a backend with several engines of search runs them with one of
them.
"""


class StoreConformance(
    ItemClauses,
    BatchClauses,
    SearchClauses,
    StoreFilterClauses,
    StoreFilterFieldClauses,
    NamespaceClauses,
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
