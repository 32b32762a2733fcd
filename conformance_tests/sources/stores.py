"""Clauses about stores that LangGraph itself establishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STORES: Final[Mapping[str, str]] = {}
