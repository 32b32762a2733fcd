"""Where the stricter clauses come from: decisions of this project, by capability.

ADR means docs/adr, by number. Single clauses whose rule stands elsewhere are named in `SUITE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance_tests.capabilities import Capability

_SILENT = "ADR 4: decisions where LangGraph's contract is silent"
_STORES = "ADR 8: stores, and where we differ from LangGraph's"
_DELTA = "ADR 4: prune keeps what DeltaChannels are rebuilt from"
_CHECKSUMS = "ADR 3: checksums"
_PRODUCT = "ADR 13: outages are errors, never absence"

SUITE_BY_CAPABILITY: Final[Mapping[Capability, str]] = {
    **dict.fromkeys(Capability, _SILENT),
    **{capability: _STORES for capability in Capability if capability.value.startswith("store_")},
    Capability.FIDELITY: "ADR 3: values are kept verbatim",
    Capability.ENCRYPTION: "ADR 3: with encryption, no plaintext and no foreign value",
    Capability.OWN_ENCRYPTION: "ADR 3: with encryption, no plaintext and no foreign value",
    Capability.SHARING: "ADR 2: segments",
    Capability.INTEGRITY: _CHECKSUMS,
    Capability.RECORD_INTEGRITY: _CHECKSUMS,
    Capability.RECORD_IDENTITY: _CHECKSUMS,
    Capability.UNREADABLE: "ADR 16: unreadable values",
    Capability.CONCURRENCY: "ADR 15: calls that are committed together",
    Capability.ROUND_TRIPS: "ADR 1: round trips are counted",
    Capability.UPSTREAM: "all 81 tests of langgraph-checkpoint-conformance 0.0.2",
    Capability.MODEL: "ADR 13: the reference saver is the model",
    **dict.fromkeys(
        (
            Capability.NETWORK,
            Capability.SERVER_DEATH,
            Capability.DISK_FULL,
            Capability.PERMISSIONS,
            Capability.STORE_NETWORK,
            Capability.STORE_SERVER_DEATH,
            Capability.STORE_DISK_FULL,
            Capability.STORE_PERMISSIONS,
        ),
        _PRODUCT,
    ),
}
"""The source of a clause of `suite` that is not named below."""

SUITE: Final[Mapping[str, str]] = {
    "saver.put.again_replaces_the_parent": "InMemorySaver; LangGraph's PostgresSaver keeps the old",
    "saver.put.again_replaces_a_value_of_the_same_version": (
        "ADR 4: the last one counts, as in InMemorySaver"
    ),
    "saver.put.versions_keep_their_type": "ADR 4: back comes the type that was put",
    "saver.put_writes.mixed_batch_is_judged_write_by_write": (
        "InMemorySaver; LangGraph's SQL savers judge the batch as a whole"
    ),
    "saver.put_writes.the_same_special_channel_twice_in_a_batch": (
        "InMemorySaver; LangGraph's SQL savers judge the batch as a whole"
    ),
    "saver.fidelity.unusual_values_survive": "InMemorySaver; ADR 3: values are kept verbatim",
    "saver.delta_history.none_is_a_seed": (
        "Base.get_delta_channel_history, InMemorySaver; LangGraph discusses it in its issue 8686"
    ),
    "graph.prune.keeps_what_rebuilds_the_value": _DELTA,
}
