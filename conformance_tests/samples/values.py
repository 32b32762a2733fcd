"""Sample values of channels, by the names that reports show."""

from __future__ import annotations

import enum
import ipaddress
import math
import pathlib
import re
import uuid
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Overwrite, Send
from pydantic import BaseModel, SecretStr


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Weight(enum.IntEnum):
    LIGHT = 1
    HEAVY = 2


class Kind(str, enum.Enum):
    NOTE = "note"


class Point(NamedTuple):
    x: int
    y: float


@dataclass
class Purse:
    owner: str
    coins: list[Decimal] = field(default_factory=list)


@dataclass(frozen=True)
class Frozen:
    at: datetime
    purse: Purse


class SampleAddress(BaseModel):
    street: str
    number: int | None = None


class Person(BaseModel):
    name: str
    addresses: list[SampleAddress]
    tags: set[str] = set()


NOON = datetime(2026, 7, 1, 12, 0, 0, 123456)  # noqa: DTZ001
PARIS = ZoneInfo("Europe/Paris")
CALL = {"name": "search", "args": {"q": "é", "n": 1}, "id": "call-1", "type": "tool_call"}


SPECIMENS: dict[str, Any] = {
    "None": None,
    "True": True,
    "False": False,
    "int": 7,
    "int zero": 0,
    "int negative": -1,
    "int 63 bit": 2**63 - 1,
    "int 64 bit": 2**64 - 1,
    "int min": -(2**63),
    "float": 0.1,
    "float integral": 1.0,
    "float minus zero": -0.0,
    "float smallest": 5e-324,
    "float largest": 1.7976931348623157e308,
    "float NaN": math.nan,
    "float inf": math.inf,
    "float minus inf": -math.inf,
    "str": "text",
    "str empty": "",
    "str NUL": "a\0b\0",
    "str unicode": "é e\u0301 日本 👩‍👩‍👧 \u202e \ufeff \U0010ffff \uffff",
    "str control": "\x01\x1f\x7f\r\n\t",
    "str JSON": '{"a": 1}',
    "str number": "1",
    "str large": "some text that is cut and shared " * 2000,
    "bytes": b"\x00\x01\xff\xfe",
    "bytes empty": b"",
    "bytes large": bytes(range(256)) * 400,
    "bytearray": bytearray(b"\x00\xff"),
    "list": [1, "two", 3.0, None],
    "list empty": [],
    "list of lists": [[], [[]], [[1], [[2]]]],
    "tuple": (1, ("two", [3])),
    "dict": {"a": 1, "b": {"c": [True]}},
    "dict empty": {},
    "dict with int keys": {1: "one", 2: "two"},
    "dict with odd keys": {"": 1, "a.b": 2, "$x": 3, "\0": 4, "1": 5},
    "OrderedDict": OrderedDict([("b", 1), ("a", 2)]),
    "defaultdict": defaultdict(list, {"a": [1]}),
    "set": {1, "two", 3.5},
    "set empty": set(),
    "frozenset": frozenset({1, 2}),
    "deque": deque([1, 2, 3]),
    "namedtuple": Point(1, 2.0),
    "Decimal": Decimal("1.10"),
    "Decimal large": Decimal("123456789012345678901234567890.123456789"),
    "Decimal NaN": Decimal("NaN"),
    "datetime naive": NOON,
    "datetime UTC": NOON.replace(tzinfo=timezone.utc),
    "datetime offset": NOON.replace(tzinfo=timezone(timedelta(hours=5, minutes=45))),
    "datetime zone": NOON.replace(tzinfo=PARIS),
    "datetime min": datetime.min,  # noqa: DTZ901
    "date": date(2024, 2, 29),
    "time": time(23, 59, 59, 999999),
    "time zone": time(12, tzinfo=timezone.utc, fold=1),
    "timedelta": timedelta(days=-1, seconds=3, microseconds=1),
    "timezone": timezone(timedelta(hours=-3, minutes=-30)),
    "ZoneInfo": PARIS,
    "Enum": Colour.GREEN,
    "IntEnum": Weight.HEAVY,
    "str Enum": Kind.NOTE,
    "UUID": uuid.UUID(int=2**127 + 1),
    "IPv4Address": ipaddress.ip_address("127.0.0.1"),
    "IPv4Network": ipaddress.ip_network("10.0.0.0/8"),
    "IPv6Address": ipaddress.ip_address("::1"),
    "IPv6Interface": ipaddress.ip_interface("fe80::1/64"),
    "Path": pathlib.Path("/tmp/é/file.txt"),
    "regex": re.compile(r"^a+\d$", re.IGNORECASE | re.MULTILINE),
    "dataclass": Purse("ada", [Decimal("0.10"), Decimal(2)]),
    "dataclass frozen": Frozen(NOON, Purse("bob")),
    "Pydantic": Person(
        name="ada", addresses=[SampleAddress(street="é"), SampleAddress(street="b", number=2)]
    ),
    "SecretStr": SecretStr("hush"),
    "numpy ints": np.arange(12, dtype=np.int32).reshape(3, 4),
    "numpy floats": np.array([0.1, np.nan, np.inf, -0.0]),
    "numpy bools": np.array([[True], [False]]),
    "numpy columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "numpy empty": np.zeros((0, 3)),
    "numpy scalar array": np.array(3.5),
    "numpy text": np.array(["a", "é"]),
    "numpy large": np.arange(20_000, dtype=np.float32),
    "HumanMessage": HumanMessage("hello é", id="m1", name="ada"),
    "HumanMessage with blocks": HumanMessage([{"type": "text", "text": "x"}, "y"]),
    "AIMessage": AIMessage(
        "",
        id="m2",
        tool_calls=[CALL],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model": "none"},
    ),
    "AIMessageChunk": AIMessageChunk(content="part"),
    "SystemMessage": SystemMessage("be brief"),
    "ToolMessage": ToolMessage("found", tool_call_id="call-1", artifact={"raw": [1]}),
    "FunctionMessage": FunctionMessage(content="f", name="f"),
    "ChatMessage": ChatMessage(content="hi", role="moderator"),
    "RemoveMessage": RemoveMessage(id="m1"),
    "Document": Document("text", metadata={"page": 1}),
    "Send": Send("node", {"k": [1, HumanMessage("x")]}),
    "Interrupt": Interrupt({"question": "really?"}, id="i1"),
    "Command": Command(update={"a": 1}, resume={"i1": True}, goto=[Send("n", 1)]),
    "Overwrite": Overwrite([1, 2]),
    "delta snapshot": _DeltaSnapshot({"a": [HumanMessage("x")]}),
    "exception": ValueError("boom"),
    "everything at once": {
        "messages": [HumanMessage("a", id="1"), AIMessage("b", tool_calls=[CALL])],
        "when": (NOON.replace(tzinfo=PARIS), timedelta(1)),
        "who": {Colour.RED.value: Purse("x", [Decimal("NaN")])},
        "maybe": [None, math.nan, {"deep": [{"deeper": {1, 2}}]}],
        "raw": [b"\0", bytearray(b"\1"), np.arange(3)],
    },
}

UNUSUAL = (
    "float minus zero",
    "float largest",
    "float NaN",
    "float inf",
    "float minus inf",
    "str NUL",
    "IntEnum",
    "str Enum",
    "bytearray",
)
"""Values that LangGraph's PostgresSaver or SqliteSaver changes or cannot store: the former stores
numbers and texts as JSON, the latter serializes all values of a checkpoint together."""
COMMON = {kind: specimen for kind, specimen in SPECIMENS.items() if kind not in UNUSUAL}
