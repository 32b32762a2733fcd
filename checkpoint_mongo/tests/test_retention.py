"""Retention policies go in steps, between which others read and write."""

from __future__ import annotations

from checkpoint_base.tests.retaining import BetweenSteps


class TestBetweenSteps(BetweenSteps):
    """On this backend."""
