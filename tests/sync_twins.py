"""Generates the blocking drivers from the asynchronous ones: python -m tests.sync_twins [--check].

The asynchronous modules are the source. Regular expressions replace words such as `await`, and
ruff formats the result.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_POSTGRES: Final = "checkpoint_postgres/connection/"
_REDIS: Final = "checkpoint_redis/connection/"
TWINS: Final = {
    f"{_POSTGRES}async_statements.py": f"{_POSTGRES}sync_driver.py",
    f"{_REDIS}async_clients.py": f"{_REDIS}sync_clients.py",
}
ASYNC_ONLY: Final = re.compile(r"^.*# async only\n", re.MULTILINE)
WORDS: Final = {
    r"async (?=def|with|for)": "",
    r"await ": "",
    r"Awaitable\[(\w+)\]": r"\1",
    r"AsyncIterator": "Iterator",
    r"asynccontextmanager": "contextmanager",
    r"AsyncStatementDriver": "SyncPostgresDriver",
    r"Async(?=Connection|RawCursor|SingleConnection|PooledConnections)": "",
    r"Awaitable, ": "",
    r"asyncio\.sleep": "time.sleep",
    r"asyncio\.Lock": "Lock",
    r"^import asyncio\n": "import time\nfrom threading import Lock\n",
    r"redis\.asyncio": "redis",
    r"arun": "run",
    r"aclose": "close",
    r"LoopTurns, acquired": "Turns, acquired_by_thread",
    r"LoopTurns": "Turns",
    r"acquired(?=\()": "acquired_by_thread",
    r"awatched": "watched",
    r"LoopDeadline\.until\(deadline\)": "nullcontext()",
    r"import contextmanager\nfrom functools": "import contextmanager, nullcontext\nfrom functools",
}
"""Replacements, in order of application. A pattern that matches in no file is an error."""


def twin_of(source: str, used: set[str]) -> str:
    """Generate the blocking twin of a module's source. Adds the matched patterns to `used`."""
    text = ASYNC_ONLY.sub("", source)
    for pattern, replacement in WORDS.items():
        text, count = re.subn(rf"(?<!\w){pattern}", replacement, text, flags=re.MULTILINE)
        if count:
            used.add(pattern)
    return _formatted(text)


def _formatted(text: str) -> str:
    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", "twin.py", "-"]
        done = subprocess.run(
            ruff, input=text, capture_output=True, text=True, check=True, cwd=ROOT
        )
        text = done.stdout
    return text


def main(arguments: list[str]) -> str | None:
    """Write the twins; with --check, only report those that are out of date."""
    used, stale = set[str](), []
    for source, twin in TWINS.items():
        text = twin_of((ROOT / source).read_text(encoding="utf-8"), used)
        text = re.sub(r"`sync_\w+` is made of this file:", f"Made of `{source}`:", text, count=1)
        if "--check" not in arguments:
            (ROOT / twin).write_text(text, encoding="utf-8")
        elif (ROOT / twin).read_text(encoding="utf-8") != text:
            stale.append(twin)
    if unused := WORDS.keys() - used:
        return f"tests/sync_twins.py: no file has {', '.join(sorted(unused))}"
    return f"{', '.join(stale)}: run python -m tests.sync_twins" if stale else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
