"""The table of results: medians with ranges, and ratios of each saver's best repeat."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from rich import box
from rich.table import Table

from benchmarks.rivals import LANGGRAPHS, OURS, RIVALS

Figures = dict[str, dict[str, list[float]]]  # rival -> figure -> one number for each repeat


@dataclass(frozen=True)
class Figure:
    label: str
    unit: str
    more_is_better: bool = False


FIGURES = {
    "chat_mb": Figure("chat on disk", "MB"),
    "chat_turn_ms": Figure("chat turn", "ms"),
    "put_ms": Figure("put 64 KB new", "ms"),
    "put_writes_ms": Figure("put_writes 64 KB", "ms"),
    "get_tuple_ms": Figure("get_tuple 1,300 KB", "ms"),
    "list10_ms": Figure("list 10 of a thread", "ms"),
    "list10_namespace_ms": Figure("list 10 of a namespace", "ms"),
    "steps_per_s": Figure("64 threads", "steps/s", more_is_better=True),
}


def human(number: float) -> str:
    digits = 0 if number >= 100 else 1 if number >= 10 else 2
    return f"{number:,.{digits}f}"


def shown(numbers: list[float]) -> str:
    """The median, and the range if it spans more than 2 percent."""
    text = human(statistics.median(numbers))
    if max(numbers) > 1.02 * min(numbers):
        text += f" [dim]({human(min(numbers))}–{human(max(numbers))})[/dim]"
    return text


def ratio(figure: Figure, ours: list[float], theirs: list[float]) -> float:
    """How many times better our best repeat is than theirs. Noise only slows a run down, so the
    best repeat has the least of it.
    """
    if figure.more_is_better:
        return max(ours) / max(theirs)
    return min(theirs) / min(ours)


def in_words(times: float) -> str:
    return f"[{'green' if times >= 1 else 'red'}]{times:.1f} x[/]"


def table(figures: Figures, title: str) -> Table:
    shape = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shape.add_column("", no_wrap=True)
    for rival in RIVALS:
        shape.add_column(rival.name, justify="right", no_wrap=True)
    shape.add_column("gain", justify="right", no_wrap=True, min_width=7)
    for name, figure in FIGURES.items():
        numbers = [figures[rival.name].get(name, []) for rival in RIVALS]
        cells = [shown(taken) if taken else "failed" for taken in numbers]
        verdict = ""
        if all(numbers):
            ours, theirs = figures[OURS.name][name], figures[LANGGRAPHS.name][name]
            verdict = in_words(ratio(figure, ours, theirs))
        shape.add_row(f"{figure.label}, {figure.unit}", *cells, verdict)
    return shape
