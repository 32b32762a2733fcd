"""Where the stricter clauses come from: decisions of this project, by capability.

ADR means docs/adr, by number. Single clauses whose rule stands elsewhere are named in `SUITE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance_tests.capabilities import Capability

_CACHES = "ADR 18: a cache may forget, never lie, and never fails a run"
_CHECKSUMS = "ADR 3: checksums"
_ENCRYPTED = "ADR 3: with encryption, no plaintext and no foreign value"
_DEFAULT = "ADR 4: a config without `checkpoint_ns`"
_OUTAGES = "ADR 4: an outage, a server that dies, a full disk, a missing right"
_RELIES = "ADR 4: a put never relies on what is not there"
_REMOVAL = "ADR 4: deletion and `copy_thread`"
_STORES = "ADR 8: stores, and where we differ from LangGraph's"
_WHOLE = "ADR 4: what a put or a batch that fails, or that is put again, leaves"

SUITE_BY_CAPABILITY: Final[Mapping[Capability, str]] = {
    **{capability: _STORES for capability in Capability if capability.value.startswith("store_")},
    **{capability: _CACHES for capability in Capability if capability.value.startswith("cache_")},
    Capability.STORE_FILTER_FIELDS: "ADR 14: declared fields have an index",
