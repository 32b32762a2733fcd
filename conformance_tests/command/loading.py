"""Loading of harnesses by name (`mypkg:harness`), for the plugin and the command line."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

Open = Callable[[Path], AbstractContextManager[Any]]
"""Makes a harness on an empty database; the argument is an empty folder for it."""


def load(spec: str) -> Open:
    """Load the factory of a run's harnesses.

    Args:
        spec: `module:name`. The name is a harness class, a function that returns a harness, or a
            generator function that yields one and cleans up; any of them may take one argument,
            an empty folder (a `Path`). Modules are also looked for in the working directory.

    Raises:
        pytest.UsageError: It cannot be imported or is not a factory; the message has the reason.
    """
    module_name, colon, name = spec.partition(":")
    if not (module_name and colon and name):
        raise pytest.UsageError(f"wanted module:name, e.g. mypkg.harness:harness, got {spec!r}")
    if os.getcwd() not in sys.path:  # noqa: PTH109 (sys.path holds texts)
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        make: Any = importlib.import_module(module_name)
        for part in name.split("."):
            make = getattr(make, part)
    except Exception as error:
        raise pytest.UsageError(f"{spec}: {told(error)}") from error
    if not callable(make):
        raise pytest.UsageError(f"{spec} is {make!r}: wanted a class or a function")
    if len(inspect.signature(make).parameters) > 1:
        raise pytest.UsageError(f"{spec} takes more than one argument: wanted a folder or nothing")
    return lambda folder: _harness(make, folder)


class Probed(NamedTuple):
    """A harness's kind: saver, store or cache."""

    kind: str
    spec: str
    name: str
    version: str


def look_at(spec: str, folder: Path) -> Probed:
    """Make a harness once, to find out its kind.

    Raises:
        pytest.UsageError: It cannot be loaded or made; the message has the reason.
    """
    from conformance_tests.caches.harness import CacheHarness
    from conformance_tests.harness import Harness, SaverHarness
    from conformance_tests.stores.harness import StoreHarness

    make = load(spec)
    try:
        with make(folder) as harness:
            if isinstance(harness, Harness):
                harness.check_opens()
            if isinstance(harness, SaverHarness):
                return Probed("saver", spec, harness.name, harness.version())
            if isinstance(harness, StoreHarness):
                return Probed("store", spec, harness.name, harness.version())
            if isinstance(harness, CacheHarness):
                return Probed("cache", spec, harness.name, harness.version())
    except Exception as error:
        raise pytest.UsageError(f"{spec}: it cannot be made: {told(error)}") from error
    raise pytest.UsageError(
        f"{spec} gave {harness!r}: wanted a SaverHarness, a StoreHarness or a CacheHarness"
    )


def told(error: Exception) -> str:
    """Format an error of the harness's code in one line, with file and line number."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = Path(last.filename).parent == Path(__file__).parent or "importlib" in last.filename
    where = "" if own else f" ({last.filename}:{last.lineno})"
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


@contextmanager
def _harness(make: Callable[..., Any], folder: Path) -> Iterator[Any]:
    given = (folder,) if inspect.signature(make).parameters else ()
    if inspect.isgeneratorfunction(make):
        with contextmanager(make)(*given) as harness:
            yield harness
    else:
        harness = make(*given)
        try:
            yield harness
        finally:
            if callable(close := getattr(harness, "close", None)):
                close()
