"""Changes that are made only while threads are held, where there are no transactions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from checkpoint_base.plan import Plan, answered
from checkpoint_base.statements.requests import Execute, ExecuteMany
from checkpoint_mongo.requests import Op, RefusedError, Write, Written

T = TypeVar("T")


def while_held(plan: Plan[T], keeping: Sequence[Op]) -> Plan[T]:
    """Run a plan of who holds threads.

    Args:
        plan: each of its changes comes behind those of `keeping`, and is refused with them.
        keeping: says of each thread that its holder lives. None: there is no thread, and so
            nothing that could be changed.

    Raises:
        RefusedError: a thread is not held any more: its holder was taken for dead.
    """
    return answered(plan, partial(_kept, keeping))


def _kept(keeping: Sequence[Op], request: Any) -> Plan[Any]:
    if isinstance(request, (Execute, ExecuteMany)):
        changes = request.sql.request(request)
        return request.sql.reply((yield from _kept(keeping, changes)))
    if type(request) is not Write:
        return (yield request)
    if not keeping or not request.ops:
        return Written(frozenset(), 0, 0)
    written = yield request._replace(ops=[*keeping, *request.ops])
    if written is None:
        raise RefusedError(keeping[0].where["thread_id"])
    return written
