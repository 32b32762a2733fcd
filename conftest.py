"""Fixtures that start servers, and a report that ends each run: outcomes per backend and server."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.servers.mongo import mongo
from tests.servers.postgres import postgres
from tests.servers.process import keep_temporary_files_in_memory
from tests.servers.redis import (
    redis_cluster,
    redis_cluster_of_one,
    redis_server,
    redis_with_query_engine,
)

if TYPE_CHECKING:
    from tests.minilm import MiniLM

keep_temporary_files_in_memory()

pytest_plugins = ("conformance_tests.plugin",)  # also enables assert rewriting in clauses

# LangGraph's Agent Server, and so langgraph-cli[inmem], needs Python 3.11
collect_ignore_glob = (
    ["*/tests/test_agent_server.py", "*/tests/test_agent_server_encryption.py"]
    if sys.version_info < (3, 11)
    else []
)

# backend -> path prefix of its tests; a test elsewhere counts for the backend of its harness
BACKENDS = {
    "memory": "checkpoint_base/tests/test_memory",
    "sqlite": "checkpoint_sqlite/tests/",
    "postgres": "checkpoint_postgres/tests/",
    **{
        f"postgres-{engine}": "checkpoint_postgres/tests/test_store_conformance"
        for engine in ("hnsw", "ivfflat", "flat", "halfvec", "exact")
    },
    "postgres-pooler": "checkpoint_postgres/tests/test_pooler",
    "redis": "checkpoint_redis/tests/",
    "redis-cluster": "checkpoint_redis/tests/test_cluster",
    "redis-query": "checkpoint_redis/tests/test_query",
    "mongo": "checkpoint_mongo/tests/",
    "mongo-standalone": "checkpoint_mongo/tests/test_standalone",
    "mongo-store": "checkpoint_mongo/tests/test_store",
    "files": "examples/tests/test_file_backend",
}
# the group of tests that use no server: the core, the wheel, the documentation
CORE = "core"
_BACKEND, _VERSION = "backend", "version"
_OUTCOMES = (
    *("passed", "failed", "skipped", "declared gaps"),
    *("not offered", "not looked at", "do not apply"),
)
_versions: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-backend",
        action="store_true",
        help="fail when a backend has no passed test or any test was skipped (make test)",
    )
    parser.addoption(
        "--mongo-url",
        default=os.environ.get("TEST_MONGO_URL"),
        help="a MongoDB that runs already, e.g. in a container; its databases saver_… are dropped",
    )


def pytest_configure(config: pytest.Config) -> None:
    # tests press Ctrl-C; a shell makes what it runs in the background ignore that
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(BackendReport(config), "backend-report")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More workers than processors: many tests wait for a cut network or a child process, and
    leave their processor idle.
    """
    processors = os.cpu_count() or 1
    return processors + processors // 2


@pytest.fixture(autouse=True)
def _server_of_harness(request: pytest.FixtureRequest) -> None:
    """Record a test's backend; on its first test, ask the harness for the server's version."""
    if "harness" not in request.fixturenames:
        return
    harness = request.getfixturevalue("harness")
    backend = str(harness.name).split()[0]
    if backend not in _versions:
        _versions[backend] = harness.version()
    # user properties are sent with the test's report from the xdist worker to the main process
    request.node.user_properties += [(_BACKEND, backend), (_VERSION, _versions[backend])]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of the maintenance database of a real server; tests create their own databases."""
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a real server; tests use their own key prefixes or databases."""
    with redis_server(appendonly="yes", appendfsync="no") as url:
        yield url


@pytest.fixture(scope="session")
def redis_query_url() -> Iterator[str]:
    """The URL of a real server with the Query Engine."""
    with redis_with_query_engine(appendonly="yes", appendfsync="no") as url:
        yield url


@pytest.fixture(scope="session")
def redis_cluster_url() -> Iterator[str]:
    """The URL of a real cluster of three nodes."""
    with redis_cluster() as url:
        yield url


@pytest.fixture(scope="session")
def redis_cluster_of_one_url() -> Iterator[str]:
    """The URL of a real cluster of one node."""
    with redis_cluster_of_one() as url:
        yield url


@pytest.fixture(scope="session")
def mongo_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server; tests create their own databases."""
    if (url := request.config.getoption("mongo_url")) is not None:
        yield url
        return
    with mongo() as url:
        yield url


@pytest.fixture(scope="session")
def sentence_embeddings() -> MiniLM:
    """A real sentence-embedding model, for `conformance_tests.stores.search.sentences`."""
    from tests.minilm import MiniLM

    return MiniLM()


@dataclass(eq=False)
class BackendReport:
    """Counts outcomes per backend, and prints them as the last lines of the run."""

    config: pytest.Config
    versions: dict[str, str] = field(default_factory=lambda: {CORE: _langgraph()})
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        gap = hasattr(report, "wasxfail")  # a declared gap that failed as expected
        if report.skipped and not gap:
            self.skipped.append(report.nodeid)
        outcome = _of_gap(report) if gap and report.skipped else report.outcome
        if outcome == "not offered" and set(_backends_of(report)) & set(BACKENDS):
            self.skipped.append(report.nodeid)  # our own backends must offer every capability
        if report.when == "call" or not report.passed:
            self.versions.update(_versions_of(report))
            for backend in _backends_of(report):
                self.outcomes.setdefault(backend, Counter())[outcome] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:  # importorskip at the top of a module
            self.skipped.append(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        problems = list(self._problems())
        if problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield  # let the terminal reporter print its summary first
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        for problem in problems:
            terminal.write_line(problem, red=True)
        for backend in (CORE, *BACKENDS):
            if backend in self.outcomes:
                terminal.write_line(self._line(backend))

    def _problems(self) -> Iterable[str]:
        if not self.config.getoption("every_backend"):
            return
        for backend in BACKENDS:
            if not self.outcomes.get(backend, Counter())["passed"]:
                yield f"{backend}: no test passed, so nothing is known about it"
            elif backend not in self.versions:
                yield f"{backend}: no test asked its harness for the server's version"
        for nodeid in self.skipped:
            yield f"skipped, which counts as failed: {nodeid}"

    def _line(self, backend: str) -> str:
        counts = self.outcomes[backend]
        told = ", ".join(
            f"{counts[outcome]} {outcome}"
            for outcome in _OUTCOMES
            if counts[outcome] or outcome == "passed"
        )
        return f"{backend:<16} {self.versions.get(backend, 'server unknown'):<26} {told}"


def _of_gap(report: pytest.TestReport) -> str:
    from conformance_tests.contract.verdicts import GAP, NOT_ASKED, verdict_of

    verdict = verdict_of(report)
    return {GAP: "declared gaps", NOT_ASKED: "do not apply"}.get(verdict, verdict)


def _langgraph() -> str:
    return f"langgraph-checkpoint {importlib.metadata.version('langgraph-checkpoint')}"


def _properties(report: pytest.TestReport, wanted: str) -> list[str]:
    return [str(value) for name, value in report.user_properties if name == wanted]


def _versions_of(report: pytest.TestReport) -> Iterable[tuple[str, str]]:
    return zip(_properties(report, _BACKEND), _properties(report, _VERSION), strict=True)


def _backends_of(report: pytest.TestReport) -> set[str]:
    """The backends that a test counts for: those it ran on, else by path, else CORE."""
    found = set(_properties(report, _BACKEND))
    if not found:
        found = {name for name, folder in BACKENDS.items() if report.nodeid.startswith(folder)}
    return found or {CORE}
