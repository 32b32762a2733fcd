"""Clauses about sweeps that apply a retention policy, in one process of a deployment at a time."""

from __future__ import annotations

import time
from functools import partial

import pytest

from checkpoint_base.saver.ttl.retention import Retention
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses
from conformance_tests.savers.threads.retention import chain_of, newest, stored


@clauses_of(Capability.RETENTION)
class RetentionSweepClauses(SaverClauses):
    """Clauses of sweeps by a saver that was opened with `retention=`."""

    @pytest.fixture
    def sweeping(self, saver: Facade, reopened: Opener) -> Opener:
        """A function that opens savers whose sweeps keep one checkpoint of each namespace."""
        saver.check_retains()
        return partial(reopened, retention=Retention(keep_last=1))

    def test_retention_sweeps_apply_the_policy(self, sweeping: Opener) -> None:
        """A sweep applies the policy that the saver was given. It returns the number of expired
        threads alone, here 0."""
        saver = sweeping()
        chain = chain_of(saver, 4)
        before = stored(saver, chain.thread_id)
        assert saver.sweep_ttl() == 0
        assert_same(newest(before, 1), stored(saver, chain.thread_id), "history")

    def test_retention_one_process_sweeps(self, sweeping: Opener) -> None:
        """Of several processes whose sweeps apply a policy, only one does so in an interval. The
        others sweep what has expired, and leave the policy to it."""
        first, second = sweeping(), sweeping()
        chain_of(first, 2)
        first.sweep_ttl()
        chain = chain_of(second, 2)
        second.sweep_ttl()
        assert len(stored(second, chain.thread_id)) == 2
        first.sweep_ttl()
        assert len(stored(first, chain.thread_id)) == 1

    def test_retention_another_process_takes_over(
        self, sweeping: Opener, harness: SaverHarness
    ) -> None:
        """If the process that applied the policy does not come back in its next interval, any
        other one does."""
        first, second = (sweeping(ttl={"sweep_interval_minutes": 1e-4}) for _ in range(2))
        first.sweep_ttl()
        chain = chain_of(second, 2)
        for _ in range(500):
            harness.advance(1)
            second.sweep_ttl()
            if len(stored(second, chain.thread_id)) == 1:
                return
            time.sleep(0.01)  # the database's own clock ends the lease
        pytest.fail("the second saver never applies the policy, 5 seconds after the first one")
