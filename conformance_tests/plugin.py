"""The pytest plugin: `pytest -p conformance_tests.plugin`, or `pytest_plugins` of a conftest.

It may run beside tests of somebody else's: it looks at tests that are clauses, and at no others,
and its options exist only in a run of `pytest -p conformance_tests.plugin --pyargs
conformance_tests`, so that a `--store` of their conftest is not disturbed.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

# pytest does this by itself where the package came as a wheel
pytest.register_assert_rewrite(
    *(f"conformance_tests.{name}" for name in ("savers", "stores", "build", "compare", "upstream"))
)

RUNNING = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    """Adds the options of the suite to a run of the suite."""
    del parser  # pluggy calls by name
    named = {arg.split("::")[0].split(".")[0] for arg in args}
    if "--pyargs" in args and "conformance_tests" in named:
        from conformance_tests.command.run import Run

        early_config.pluginmanager.register(Run(), "conformance-run")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Somebody who collects the whole folder has named no harness to run the clauses on."""
    contract = collection_path == Path(__file__).parent / "test_contract.py"
    return True if contract and not config.pluginmanager.has_plugin("conformance-run") else None


def _is_clause(item: pytest.Item) -> bool:
    return isinstance(getattr(getattr(item, "cls", None), "contract", None), str)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Forgets the calls of the clause before."""
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
    """Says what was expected, what was got, and where they first differ.

    Pytest compares as well, though only the first answer is shown, and on a CI server it does so in
    full: two lists of some thousand lines that resemble each other take it minutes.
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
    """Says what was expected where a clause stumbles over an answer, instead of a KeyError."""
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
    """Counts what is neither passed, failed nor a declared gap under its own verdict."""
    if not (report.skipped and hasattr(report, "wasxfail")):
        return None
    from conformance_tests.contract.verdicts import GAP, verdict_of

    verdict = verdict_of(report)
    return None if verdict == GAP else (verdict, "-", verdict.upper())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Adds the clause and, to a failure, the calls that led there."""
    report = yield
    if _is_clause(item):
        from conformance_tests.report.failures import explain

        explain(item, report)
    return report
