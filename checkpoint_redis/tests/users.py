"""Users of a Redis who may not do everything."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

PASSWORD = "open-sesame"


@contextmanager
def user(nodes: list[Any], url: str, *rules: str) -> Iterator[str]:
    """A user with these rules of an ACL, on each node; yields the URL with which it logs in."""
    name = f"user-{secrets.token_hex(6)}"
    for node in nodes:
        node.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", *rules)
    try:
        yield as_user(url, name, PASSWORD)
    finally:
        for node in nodes:
            node.execute_command("ACL", "DELUSER", name)


def as_user(url: str, name: str, password: str) -> str:
    """The URL with a login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc}"))
