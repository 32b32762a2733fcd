"""The generated parts of docs/conformance.md (`python -m conformance_tests.tests.page`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from conformance_tests.catalogue import Clause, meaning
from conformance_tests.run import offered
from conformance_tests.tests.mutants.collected import all_mutants

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def section(text: str, name: str, body: str) -> str:
    """The text with another body between the marks of a section."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise LookupError(f"{PAGE.name} has no section {name!r}")
    return f"{before}{begin}\n\n{body.strip()}\n\n{end}{after}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def capabilities() -> str:
    """A row for each capability."""
    rows = []
    for kind in ("saver", "store"):
        grouped: dict[str, list[Clause]] = {}
        for clause in offered(kind):
            grouped.setdefault(str(clause.capability.value), []).append(clause)
        for name, clauses in grouped.items():
            rows.append((f"`{name}`", meaning(clauses[0].capability), str(len(clauses))))
    return table(("capability", "to", "clauses"), rows)


def mutants() -> str:
    """A row for each mutant."""
    rows = [(one.name, one.wrong, f"`{one.caught_by}`") for one in all_mutants()]
    return table(("mutant", "what it does", "caught by"), rows)


def current(text: str) -> str:
    """The page as it should be."""
    return section(section(text, "capabilities", capabilities()), "mutants", mutants())


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
