"""The pytest plugin: `pytest -p conformance_tests.plugin`, or `pytest_plugins` of a conftest.

It can run beside unrelated tests: it only handles clauses. Its options exist only in runs of
`pytest -p conformance_tests.plugin --pyargs conformance_tests`, so that they do not collide with
options of other conftest files, such as `--store`.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

# the asserts of clauses are in modules that pytest does not collect, and so does not rewrite
pytest.register_assert_rewrite(
    *(f"conformance_tests.{name}" for name in ("savers", "stores", "caches", "samples"))
)

RUNNING = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    """Add the suite's options, if this is a run of the suite."""
    del parser  # unused, but pluggy passes arguments by name
    named = {arg.split("::")[0].split(".")[0] for arg in args}
    if "--pyargs" in args and "conformance_tests" in named:
        from conformance_tests.command.run import Run

        early_config.pluginmanager.register(Run(), "conformance-run")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip test_contract.py, unless this is a run of the suite: there is no harness to test."""
    contract = collection_path == Path(__file__).parent / "test_contract.py"
    return True if contract and not config.pluginmanager.has_plugin("conformance-run") else None


def _is_clause(item: pytest.Item) -> bool:
    return isinstance(getattr(getattr(item, "cls", None), "contract", None), str)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Clear the recorded calls before each clause."""
    if not _is_clause(item):
        return (yield)
    from conformance_tests.samples.calls import CALLS

    CALLS.clear()
    item.config.stash[RUNNING] = True
    try:
        return (yield)
    finally:
        item.config.stash[RUNNING] = False


@pytest.hookimpl(wrapper=True)
def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> Generator[None, list[list[str] | None], list[list[str] | None]]:
    """Explain a failed comparison: expected, got, and the first difference.

    Pytest computes its own diff, too, although it is not shown. On a CI server it computes the full
    diff, which takes minutes for long similar lists, so the variables of CI servers are hidden.
    """
    if not config.stash.get(RUNNING, False):
        return (yield)
    from conformance_tests.report.failures import told

    with pytest.MonkeyPatch.context() as patch:
        for name in ("CI", "BUILD_NUMBER"):
            patch.delenv(name, raising=False)
        others = yield
    return [told(op, left, right), *others]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Turn a KeyError and the like, raised by a clause on a malformed result, into a failure that
    says what was expected.
    """
    try:
        return (yield)
    except (LookupError, TypeError, AttributeError) as error:
        if not _is_clause(pyfuncitem):
            raise
        from conformance_tests.report.failures import unreadable_answer

        if message := unreadable_answer(error):
            raise AssertionError(message) from error
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count cases that neither passed nor failed, and are no declared gap, by their verdict."""
    if not (report.skipped and hasattr(report, "wasxfail")):
        return None
    from conformance_tests.contract.verdicts import GAP, verdict_of

    verdict = verdict_of(report)
    return None if verdict == GAP else (verdict, "-", verdict.upper())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add the clause to the report, and to a failure the calls before it."""
    report = yield
    if _is_clause(item):
        from conformance_tests.report.failures import explain

        explain(item, report)
    return report
