"""Databases that nobody has set up: the first operation of a planner looks, and says what to call.

Redis and MongoDB make whatever is written to. Without `setup()` a saver would half work on them:
threads that no list has, documents without the index that keeps them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar

from checkpoint_base.plan import Plan

T = TypeVar("T")
C = TypeVar("C", bound="type[SetupCheck]")


class SetupCheck(Protocol):
    """What `requires_setup` needs of a planner."""

    is_set_up: bool
    """whether that is known: False to begin with"""

    def setup(self) -> Plan[None]: ...

    def expect_setup(self) -> Plan[None]:
        """One request.

        Raises:
            NotSetUpError: `setup()` was never called.
            SchemaVersionError: a newer version of this library has called it.
        """


def requires_setup(operations: type) -> Callable[[C], C]:
    """Class decorator of planners: until it is known that the database was set up, the plans of a
    planner begin with `expect_setup`. Once it is, or after `setup`, they are as they were written.

    Args:
        operations: the protocol whose methods are meant.
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
