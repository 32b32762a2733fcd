"""Setup check: until `setup()` was called, a planner's operations raise `NotSetUpError`.

Redis and MongoDB create keys and collections on first write. So without `setup()` a saver would
partly work: threads missing from the registry, documents without their unique index.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar

from checkpoint_base.plan import Plan

T = TypeVar("T")
C = TypeVar("C", bound="type[SetupCheck]")


class SetupCheck(Protocol):
    """The planner attributes that `requires_setup` uses."""

    is_set_up: bool
    """whether the check has passed or `setup` has run; initially False"""

    def setup(self) -> Plan[None]: ...

    def expect_setup(self) -> Plan[None]:
        """Check that the database is set up, in one request.

        Raises:
            NotSetUpError: `setup()` was never called.
            SchemaVersionError: a newer version of this library has set it up.
        """


def requires_setup(operations: type) -> Callable[[C], C]:
    """Class decorator of planners: prepend `expect_setup` to every plan until it has succeeded once
    or `setup` has run.

    Args:
        operations: the protocol whose methods are wrapped.
    """

    def decorate(cls: C) -> C:
        for name in dir(operations):
            if not name.startswith("_"):
                wrap = _setting_up if name == "setup" else _looking
                setattr(cls, name, wrap(getattr(cls, name)))
        return cls

    return decorate


def _looking(operation: Callable[..., Plan[T]]) -> Callable[..., Plan[T]]:
    @wraps(operation)
    def begun(self: SetupCheck, *args: Any, **kwargs: Any) -> Plan[T]:
        plan = operation(self, *args, **kwargs)
        return plan if self.is_set_up else _looked(self, plan)

    return begun


def _looked(planner: SetupCheck, plan: Plan[T]) -> Plan[T]:
    yield from planner.expect_setup()
    planner.is_set_up = True
    return (yield from plan)


def _setting_up(setup: Callable[..., Plan[None]]) -> Callable[..., Plan[None]]:
    @wraps(setup)
    def noted(self: SetupCheck, *args: Any, **kwargs: Any) -> Plan[None]:
        yield from setup(self, *args, **kwargs)
        self.is_set_up = True

    return noted
