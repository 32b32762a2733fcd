"""Runs LangGraph's official conformance tests on the harness, each as a case of a clause."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability as TheirCapability

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.contract.offers import REQUIRED, lacks
from conformance_tests.contract.verdicts import not_offered
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.savers.base import SaverClauses

CLAUSES = 81  # tests of langgraph-checkpoint-conformance 0.0.2, to notice missing ones

Test = Callable[[Any], Awaitable[None]]


def their_tests() -> dict[str, Test]:
    """The official tests by name, `capability:test`."""
    found: dict[str, Test] = {}
    for capability in TheirCapability:
        module = importlib.import_module(
            f"langgraph.checkpoint.conformance.spec.test_{capability.value}"
        )
        for test in getattr(module, f"ALL_{capability.name}_TESTS"):
            found[f"{capability.value}: {test.__name__.removeprefix('test_')}"] = test
    return found


THEIRS = their_tests()


@asynccontextmanager
async def saver_of(harness: SaverHarness, flavour: Flavour) -> AsyncIterator[Any]:
    """Open the harness's saver. The official tests call async methods in both flavours."""
    if flavour == "sync":
        with harness.open() as saver:
            yield saver
    else:
        async with harness.aopen() as saver:
            yield saver


def official(request: pytest.FixtureRequest) -> str | None:
    """The name of the running official test; None for other tests."""
    callspec = getattr(request.node, "callspec", None)
    theirs: str | None = callspec.params.get("theirs") if callspec else None
    return theirs


@clauses_of(Capability.UPSTREAM)
class UpstreamClauses(SaverClauses):
    """Clauses of langgraph-checkpoint-conformance."""

    def capability_under_test(self, request: pytest.FixtureRequest) -> Capability:
        """The official test's capability, so that a gap in it is declared by its own name."""
        theirs = official(request)
        if theirs is None:
            return super().capability_under_test(request)
        return Capability(theirs.split(":")[0])

    def gap_must_fail(self, request: pytest.FixtureRequest) -> bool:
        """False for official tests: some ignore all exceptions, and pass without the capability."""
        return official(request) is None and super().gap_must_fail(request)

    @pytest.mark.parametrize("theirs", THEIRS)
    def test_upstream_official(self, harness: SaverHarness, flavour: Flavour, theirs: str) -> None:
        """Each test of LangGraph's official conformance package passes."""

        # official tests of a capability call no other optional method
        method = f"a{theirs.split(':', maxsplit=1)[0]}"

        async def run() -> str | None:
            async with saver_of(harness, flavour) as saver:
                for name in ("aput", "aput_writes", "aget_tuple", "alist", method):
                    if reason := lacks(saver, name):
                        return reason
                try:
                    await THEIRS[theirs](saver)
                except NotImplementedError as error:
                    if flavour == "async" and method.removeprefix("a") in REQUIRED:
                        raise
                    return f"`{method}` raises NotImplementedError: {error}"
                return None

        if reason := asyncio.run(run()):
            not_offered(reason)

    def test_upstream_official_report(self, harness: SaverHarness, flavour: Flavour) -> None:
        """The official runner detects every capability, and reports 81 of 81 tests passed."""

        @checkpointer_test(name=harness.name)
        async def registered() -> AsyncIterator[Any]:
            async with saver_of(harness, flavour) as saver:
                yield saver

        report = asyncio.run(validate(registered))
        undetected = [name for name, result in report.results.items() if not result.detected]
        failures = [failure for result in report.results.values() for failure in result.failures]
        assert undetected == []
        assert failures == []
        passed = sum(result.tests_passed for result in report.results.values())
        assert passed == CLAUSES == len(THEIRS)
