"""`SaverConformance`, the base class with all clauses about savers, which a backend subclasses."""

from __future__ import annotations

from typing import ClassVar

from conformance_tests.contract.version import Profile
from conformance_tests.savers.faults.concurrency import ConcurrencyClauses
from conformance_tests.savers.faults.hostile_input import HostileInputClauses
from conformance_tests.savers.faults.outages import (
    DiskFullClauses,
    NetworkClauses,
    RoundTripClauses,
    ServerDeathClauses,
)
from conformance_tests.savers.faults.permissions import PermissionClauses
from conformance_tests.savers.faults.persistence import PersistenceClauses
from conformance_tests.savers.faults.processes import ProcessClauses
from conformance_tests.savers.reading.delta_history import DeltaHistoryClauses
from conformance_tests.savers.reading.filters import FilterClauses
from conformance_tests.savers.reading.get_tuple import GetTupleClauses, PendingSendsClauses
from conformance_tests.savers.reading.listing import ListClauses, ListWhileClauses
from conformance_tests.savers.setup import BridgeClauses, SetupClauses
from conformance_tests.savers.stateful import ModelClauses
from conformance_tests.savers.threads.copy_thread import CopyThreadClauses
from conformance_tests.savers.threads.delete_for_runs import DeleteForRunsClauses
from conformance_tests.savers.threads.delete_thread import DeleteThreadClauses
from conformance_tests.savers.threads.find_threads import FindThreadsClauses, OpenInterruptClauses
from conformance_tests.savers.threads.list_threads import ThreadsClauses
from conformance_tests.savers.threads.prune import PruneClauses, PruneDeltaClauses
from conformance_tests.savers.threads.retention import (
    RetentionClauses,
)
from conformance_tests.savers.threads.retention_sweeps import RetentionSweepClauses
from conformance_tests.savers.threads.stats import StatsClauses
from conformance_tests.savers.threads.ttl import ExpiryClauses, SweepClauses
from conformance_tests.savers.threads.ttl_of_runs import RunTTLClauses
from conformance_tests.savers.upstream import UpstreamClauses
from conformance_tests.savers.values.allowlist import AllowlistClauses
from conformance_tests.savers.values.encryption import (
    EncryptionClauses,
    OwnEncryptionClauses,
    SweepUnderAnotherKeyClauses,
)
from conformance_tests.savers.values.fidelity import FidelityClauses
from conformance_tests.savers.values.integrity import IntegrityClauses
from conformance_tests.savers.values.put import PutClauses
from conformance_tests.savers.values.put_again import PutAgainClauses
from conformance_tests.savers.values.put_writes import PutWritesClauses, WriteOrderClauses
from conformance_tests.savers.values.records import RecordIdentityClauses, RecordIntegrityClauses
from conformance_tests.savers.values.sharing import SharingClauses
from conformance_tests.savers.values.unreadable import (
    CopyUnreadableClauses,
    DeleteRunsUnreadableClauses,
    DeleteUnreadableClauses,
    PruneUnreadableClauses,
    UnreadableClauses,
)


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
    RetentionClauses,
    RetentionSweepClauses,
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
    FindThreadsClauses,
    OpenInterruptClauses,
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
