"""Tests of the wheel: its contents, and that each package works with only its own extra."""

from __future__ import annotations

import email
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import checkpoint_base

REPOSITORY = "https://github.com/langgraph-checkpoint-suite/langgraph-checkpoint-suite"
RAW = REPOSITORY.replace("github.com", "raw.githubusercontent.com")
ROOT = Path(__file__).resolve().parent.parent
# package -> (the extra it needs or None, the drivers it may import)
PACKAGES: dict[str, tuple[str | None, set[str]]] = {
    "checkpoint_base": (None, set()),
    "checkpoint_sqlite": ("sqlite", {"sqlite3", "aiosqlite"}),
    "checkpoint_postgres": ("postgres", {"psycopg", "psycopg_pool"}),
    "checkpoint_redis": ("redis", {"redis"}),
    "checkpoint_mongo": ("mongo", {"pymongo"}),
    "checkpoint_suite": ("cli", set()),
    "store_vector": (None, set()),
    "conformance_tests": ("conformance", set()),
}
DRIVERS = {"sqlite3", "aiosqlite", "psycopg", "psycopg_pool", "redis", "pymongo"}
SHIPPED = {".py", ".sql", ".lua", ".css", ".js", ".json", ".yml", ".txt", ".typed"}


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def python_in(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def site_packages(environment: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run(python_in(environment), "-I", "-c", code).strip())


def pip_install(environment: Path, requirement: str) -> None:
    pip = (sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check")
    run(*pip, "--python", python_in(environment), "install", requirement)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # the build backend is in the dev group, so the build downloads nothing
    flags = ("-qq", "--disable-pip-version-check", "--no-deps", "--no-build-isolation")
    with pytest.MonkeyPatch.context() as patch:
        # `make` sets this variable, which pip rejects without build isolation
        patch.delenv("PIP_BUILD_CONSTRAINT", raising=False)
        run(sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("langgraph_checkpoint_suite-*.whl")
    return built


@pytest.fixture(scope="module")
def core_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and its core dependencies, without extras."""
    environment = tmp_path_factory.mktemp("core") / "env"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    pip_install(environment, str(wheel))
    return environment


def with_extra(core: Path, wheel: Path, extra: str, environment: Path) -> Path:
    """A virtual environment with one extra, which sees the core environment by a .pth file."""
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    (site_packages(environment) / "core.pth").write_text(f"{site_packages(core)}\n")
    pip_install(environment, f"{wheel}[{extra}]")
    return environment


@pytest.fixture(scope="module")
def with_conformance(
    wheel: Path, core_only: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A virtual environment for an author of a backend, with the extra `conformance`."""
    return with_extra(core_only, wheel, "conformance", tmp_path_factory.mktemp("author") / "env")


def report(python: str | Path, code: str) -> Any:
    """Run `code` in a new interpreter outside of the clone; parse its last line as JSON."""
    return json.loads(run(python, "-I", "-c", code).splitlines()[-1])


def test_every_package_of_the_clone_is_tested_here() -> None:
    assert {marker.parent.name for marker in ROOT.glob("*/py.typed")} == set(PACKAGES)


def test_the_wheel_holds_every_shipped_file_and_nothing_else(wheel: Path) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SHIPPED or path.name == "py.typed"
        if "tests" not in path.relative_to(ROOT).parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (about,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        entry_points = archive.read(about).decode()
    assert names == wanted
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert "checkpoint-conformance = conformance_tests.command.main:main" in entry_points
    assert "checkpoint-suite = checkpoint_suite.command:main" in entry_points
    assert "pytest11" not in entry_points
    assert any(name.startswith("checkpoint_sqlite/sql/") for name in names)


def test_the_metadata_names_every_extra_and_python(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        headers = email.message_from_bytes(archive.read(metadata))
    assert headers["Requires-Python"] == ">=3.10"
    extras = {"sqlite", "postgres", "redis", "mongo", "encryption", "cli", "conformance", "all"}
    assert set(headers.get_all("Provides-Extra", [])) == extras
    core = [line for line in headers.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {line.replace(">", "=").split("=")[0].strip() for line in core}
    assert names == {"langgraph-checkpoint", "numpy", "xxhash"}
    assert headers["Version"] == checkpoint_base.__version__


def test_links_work_on_a_package_index(wheel: Path) -> None:
    """A package index shows only the README: its links must be absolute URLs of existing files."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        headers = email.message_from_bytes(archive.read(metadata))
    home, raw = f"{REPOSITORY}/blob/main/", f"{RAW}/main/"
    urls = dict(line.split(", ") for line in headers.get_all("Project-URL", []))
    assert urls == {
        "Homepage": REPOSITORY,
        "Documentation": f"{REPOSITORY}/tree/main/docs",
        "Changelog": f"{home}CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
    }
    page = str(headers.get_payload())
    links = re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", page)
    assert len(links) == len(re.findall(r"\]\(", (ROOT / "README.md").read_text("utf-8")))
    for picture, link in links:
        own = link.removeprefix(raw if picture else home)
        if own == link:
            assert link.startswith("https://")
            assert REPOSITORY not in link
        else:
            assert (ROOT / own.partition("#")[0]).exists(), link


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_imports_with_only_its_own_extra(
    package: str, wheel: Path, core_only: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    extra, _ = PACKAGES[package]
    environment = core_only
    if extra == "conformance":
        environment = request.getfixturevalue("with_conformance")
    elif extra:
        environment = with_extra(core_only, wheel, extra, tmp_path / "env")
    code = f"""
import importlib, json, pkgutil, {package}
names = [m.name for m in pkgutil.walk_packages({package}.__path__, "{package}.")]
for name in names:
    importlib.import_module(name)
print(json.dumps([{package}.__file__, len(names)]))
"""
    file, modules = report(python_in(environment), code)
    assert Path(file).is_relative_to(site_packages(core_only))
    assert modules > 0


IN_MEMORY = """
from contextlib import contextmanager

from langgraph.checkpoint.memory import InMemorySaver

import mypkg_conformance


class Filled(mypkg_conformance.Saver):
    @contextmanager
    def open(self, *, serde=None):
        yield InMemorySaver(serde=serde)

    def aopen(self, **options):
        return super(mypkg_conformance.Saver, self).aopen(**options)
"""


def test_a_new_author_gets_a_report(with_conformance: Path, tmp_path: Path) -> None:
    """Runs `init`, fills in the harness, and gets a report by one command, without this clone."""
    # not the script: it is in the core environment, whose interpreter lacks the extra
    command = (python_in(with_conformance), "-m", "conformance_tests")
    run(*command, "init", "mypkg", cwd=tmp_path)
    (tmp_path / "filled.py").write_text(IN_MEMORY)
    paths = {kind: tmp_path / f"report.{kind}" for kind in ("html", "json", "badge")}
    reports = [part for kind, path in paths.items() for part in (f"--{kind}", str(path))]
    told = run(*command, "run", "filled:Filled", "--only", "filter", *reports, cwd=tmp_path)
    assert "chosen clauses hold; the others did not run" in told
    assert all(path.stat().st_size for path in paths.values())
    (found,) = json.loads(paths["json"].read_text())["contracts"]
    assert {clause["outcome"] for clause in found["clauses"]} == {"passed"}


CLAUSES_BY_PYTEST = ("--pyargs", "conformance_tests", "--only", "saver.filter")


def test_pytest_has_the_plugin_on_request_only(with_conformance: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "file_backend", tmp_path / "examples" / "file_backend")
    own = tmp_path / "own"
    own.mkdir()
    (own / "test_own.py").write_text(
        "import sys\n"
        "def test_own(pytestconfig):\n"
        "    assert not pytestconfig.pluginmanager.has_plugin('conformance_tests.plugin')\n"
        "    assert 'conformance_tests' not in sys.modules\n"
    )
    pytest_there = (python_in(with_conformance), "-m", "pytest", "-q", "-c", "none.ini")
    (tmp_path / "none.ini").touch()

    def there(*arguments: str | Path) -> str:
        done = subprocess.run(
            [*pytest_there, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    assert "1 passed" in there(own)
    clauses = (*CLAUSES_BY_PYTEST, "--saver", "examples.file_backend.harness:FileHarness")
    assert "unrecognized arguments: --only" in there(*clauses)
    with_plugin = there("-p", "conformance_tests.plugin", *clauses)
    assert re.search(r"\d+ passed, \d+ deselected in", with_plugin), with_plugin


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_no_other_driver(package: str) -> None:
    """Runs where all drivers are installed, so that an eager import would succeed and be seen."""
    code = f"import json, sys, {package}; print(json.dumps(sorted({DRIVERS} & set(sys.modules))))"
    _, allowed = PACKAGES[package]
    assert set(report(sys.executable, code)) <= allowed


def test_the_sync_sqlite_saver_needs_no_extra(core_only: Path, tmp_path: Path) -> None:
    code = f"""
import json
from checkpoint_base import open_saver
from checkpoint_sqlite import SqliteSaver
config = {{"configurable": {{"thread_id": "t"}}}}
with SqliteSaver.from_conn_string({str(tmp_path / "a.db")!r}) as saver:
    saver.setup()
    first = saver.get_tuple(config)
with open_saver("sqlite:///" + {str(tmp_path / "b.db")!r}) as saver:
    print(json.dumps([first, saver.get_tuple(config)]))
"""
    assert report(python_in(core_only), code) == [None, None]


@pytest.mark.parametrize(
    ("opening", "saver", "extra"),
    [
        (
            "checkpoint_sqlite.AsyncSqliteSaver.from_conn_string(':memory:')",
            "AsyncSqliteSaver",
            "sqlite",
        ),
        ("checkpoint_base.aopen_saver('sqlite:///:memory:')", "AsyncSqliteSaver", "sqlite"),
        ("checkpoint_base.aopen_saver('postgresql://h/d')", "AsyncPostgresSaver", "postgres"),
        ("checkpoint_base.aopen_saver('redis://h/0')", "AsyncRedisSaver", "redis"),
    ],
)
def test_without_its_extra_the_async_saver_names_the_install(
    core_only: Path, opening: str, saver: str, extra: str
) -> None:
    code = f"""
import asyncio, json, checkpoint_base, checkpoint_sqlite
from checkpoint_base.errors import MissingDriverError

async def main():
    async with {opening}:
        pass

try:
    asyncio.run(main())
except MissingDriverError as error:
    print(json.dumps(str(error)))
"""
    message = report(python_in(core_only), code)
    assert saver in message
    assert f"pip install 'langgraph-checkpoint-suite[{extra}]'" in message
