"""All clauses in one class, for a backend's test file to subclass."""

from __future__ import annotations

from typing import ClassVar

from conformance_tests.contract import Profile
from conformance_tests.savers.allowlist import AllowlistClauses
from conformance_tests.savers.concurrency import ConcurrencyClauses
from conformance_tests.savers.copy_thread import CopyThreadClauses
from conformance_tests.savers.delete_for_runs import DeleteForRunsClauses
from conformance_tests.savers.delete_thread import DeleteThreadClauses
from conformance_tests.savers.delta_history import DeltaHistoryClauses
from conformance_tests.savers.encryption import (
    EncryptionClauses,
    OwnEncryptionClauses,
    SweepUnderAnotherKeyClauses,
)
from conformance_tests.savers.fidelity import FidelityClauses
from conformance_tests.savers.filters import FilterClauses
from conformance_tests.savers.get_tuple import GetTupleClauses, PendingSendsClauses
from conformance_tests.savers.hostile_input import HostileInputClauses
from conformance_tests.savers.integrity import IntegrityClauses
from conformance_tests.savers.listing import ListClauses, ListWhileClauses
from conformance_tests.savers.outages import (
    DiskFullClauses,
    NetworkClauses,
    RoundTripClauses,
    ServerDeathClauses,
)
from conformance_tests.savers.permissions import PermissionClauses
from conformance_tests.savers.persistence import PersistenceClauses
from conformance_tests.savers.processes import ProcessClauses
from conformance_tests.savers.prune import PruneClauses, PruneDeltaClauses
from conformance_tests.savers.put import PutClauses
from conformance_tests.savers.put_again import PutAgainClauses
from conformance_tests.savers.put_writes import PutWritesClauses, WriteOrderClauses
from conformance_tests.savers.records import RecordIdentityClauses, RecordIntegrityClauses
from conformance_tests.savers.setup import BridgeClauses, SetupClauses
from conformance_tests.savers.sharing import SharingClauses
from conformance_tests.savers.stateful import ModelClauses
from conformance_tests.savers.stats import StatsClauses
from conformance_tests.savers.threads import ThreadsClauses
from conformance_tests.savers.ttl import ExpiryClauses, SweepClauses
from conformance_tests.savers.ttl_of_runs import RunTTLClauses
from conformance_tests.savers.unreadable import (
    CopyUnreadableClauses,
    DeleteRunsUnreadableClauses,
    DeleteUnreadableClauses,
    PruneUnreadableClauses,
    UnreadableClauses,
)
from conformance_tests.upstream import UpstreamClauses


class SaverConformance(
    PutClauses,
    PutAgainClauses,
    WriteOrderClauses,
    PutWritesClauses,
    GetTupleClauses,
    PendingSendsClauses,
    ListClauses,
    ListWhileClauses,
    FilterClauses,
    DeleteThreadClauses,
    DeleteForRunsClauses,
    CopyThreadClauses,
    PruneClauses,
    PruneDeltaClauses,
    DeltaHistoryClauses,
    AllowlistClauses,
    FidelityClauses,
    HostileInputClauses,
    EncryptionClauses,
    OwnEncryptionClauses,
    ExpiryClauses,
    RunTTLClauses,
    SweepClauses,
    SweepUnderAnotherKeyClauses,
    ThreadsClauses,
    StatsClauses,
    SharingClauses,
    IntegrityClauses,
    RecordIntegrityClauses,
    RecordIdentityClauses,
    UnreadableClauses,
    DeleteUnreadableClauses,
    DeleteRunsUnreadableClauses,
    PruneUnreadableClauses,
    CopyUnreadableClauses,
    SetupClauses,
    BridgeClauses,
    PersistenceClauses,
    ConcurrencyClauses,
    ProcessClauses,
    NetworkClauses,
    ServerDeathClauses,
    DiskFullClauses,
    PermissionClauses,
    RoundTripClauses,
    ModelClauses,
    UpstreamClauses,
):
    """Every clause about savers, sync and async.

    A backend's whole test file:

        class TestSqliteSaver(SaverConformance):
            @pytest.fixture
            def harness(self, tmp_path):
                with closing(SqliteHarness(tmp_path)) as harness:
                    yield harness
    """

    profile: ClassVar[Profile] = "langgraph"
