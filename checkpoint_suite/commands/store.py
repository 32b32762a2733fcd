"""The commands `store ls|get|search|put|delete`.

On the command line, a namespace is its labels joined by slashes. A slash or a backslash within a
label is escaped by a backslash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from langgraph.store.base import Item

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_suite.commands.selection import json_object
from checkpoint_suite.commands.write import say
from checkpoint_suite.database import AsJson, Url, Yes, confirm, store_at
from checkpoint_suite.output import brief, iso, plain, print_json, print_rows

At = Annotated[str, typer.Argument(help="labels, e.g. memories/ann", show_default=False)]
Key = Annotated[str, typer.Argument(help="an item's key", show_default=False)]
Limit = Annotated[int, typer.Option(min=1, help="how many at most")]


def labels(text: str) -> tuple[str, ...]:
    """Parse a namespace from the command line."""
    found, escaped = [""], False
    for char in text:
        if escaped or char not in "/\\":
            found[-1] += char
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            found.append("")
    return tuple(found) if text else ()


def path(namespace: tuple[str, ...]) -> str:
    """Format a namespace for the command line."""
    return "/".join(label.replace("\\", "\\\\").replace("/", "\\/") for label in namespace)


def ls(
    url: Url,
    prefix: Annotated[str, typer.Argument(help="labels that namespaces begin with")] = "",
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List namespaces."""
    with store_at(url) as store:
        found = store.list_namespaces(prefix=labels(prefix) or None, limit=limit)
    if as_json:
        print_json([list(namespace) for namespace in found])
    else:
        print_rows(("namespace",), [(path(namespace),) for namespace in found], "no namespaces")


def get(url: Url, namespace: At, key: Key, as_json: AsJson = False) -> None:
    """Show an item."""
    with store_at(url) as store:
        found = store.get(labels(namespace), key, refresh_ttl=False)
    if found is None:
        raise InvalidArgumentError(f"there is no item {key!r} in {namespace!r}")
    if as_json:
        print_json(_whole(found))
    else:
        print_json(plain(found.value))


def search(
    url: Url,
    prefix: Annotated[str, typer.Argument(help="labels that namespaces begin with")] = "",
    filter: Annotated[str | None, typer.Option(help='JSON, {"age": {"$gte": 18}}')] = None,
    limit: Limit = 20,
    offset: Annotated[int, typer.Option(min=0, help="how many to leave out")] = 0,
    as_json: AsJson = False,
) -> None:
    """List items under a namespace that match a filter, last updated first."""
    chosen = None if filter is None else json_object("filter", filter)
    with store_at(url) as store:
        found = store.search(
            labels(prefix), filter=chosen, limit=limit, offset=offset, refresh_ttl=False
        )
    if as_json:
        print_json([_whole(item) for item in found])
        return
    rows = [(path(one.namespace), one.key, one.updated_at, brief(one.value, 30)) for one in found]
    print_rows(("namespace", "key", "updated (UTC)", "value"), rows, "no items")


def put(
    url: Url,
    namespace: At,
    key: Key,
    value: Annotated[str, typer.Argument(help="a JSON object", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Store an item, or replace it. It is not embedded: the command has no embedding model."""
    with store_at(url, writes=True) as store:
        store.put(labels(namespace), key, json_object("value", value), index=False)
    named = {"namespace": list(labels(namespace)), "key": key}
    say(f"stored {key!r} in {namespace!r}", named, as_json=as_json)


def delete(url: Url, namespace: At, key: Key, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete an item."""
    with store_at(url, writes=True) as store:
        confirm(f"delete {key!r} of {namespace!r}?", yes=yes)
        store.delete(labels(namespace), key)
    named = {"namespace": list(labels(namespace)), "key": key}
    say(f"deleted {key!r} of {namespace!r}", named, as_json=as_json)


COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "ls": ls,
    "get": get,
    "search": search,
    "put": put,
    "delete": delete,
}


def _whole(item: Item) -> dict[str, Any]:
    return {
        "namespace": list(item.namespace),
        "key": item.key,
        "value": plain(item.value),
        "created_at": iso(item.created_at),
        "updated_at": iso(item.updated_at),
    }
