"""Benchmark of our SQLite saver against LangGraph's own, in a few minutes: `make bench`."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.plot import chat_growth_svg
from benchmarks.report import Figures, table
from benchmarks.rivals import RIVALS
from benchmarks.workloads import QUICK, WARM_UP, WORKLOADS, Size, WrongAnswerError

PLOT = Path(__file__).parent.parent / "docs" / "chat-growth.svg"
Growth = dict[str, dict[int, int]]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one repeat, no plot")
    parser.add_argument("--repeats", type=int, help="default 3, with --quick 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every repeat here")
    parser.add_argument("--plot", type=Path, metavar="FILE", help=f"default {PLOT.name} in docs/")
    parser.add_argument("--folder", type=Path, help="where the databases go (default: temporary)")
    return parser.parse_args(argv)


def warm_up(folder: Path | None) -> None:
    """Run everything once unmeasured, because the first run pays for imports and cold caches."""
    for workload in WORKLOADS:
        for rival in RIVALS:
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                workload(rival, Path(scratch) / "warm.sqlite", WARM_UP)


def measure(
    size: Size, repeats: int, folder: Path | None, console: Console
) -> tuple[Figures, Growth, list[str]]:
    """Run all repeats. Savers alternate within a repeat, so that other load affects both alike."""
    figures: Figures = {rival.name: {} for rival in RIVALS}
    growth: Growth = {}
    wrong: list[str] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=repeats * len(WORKLOADS) * len(RIVALS))
        for _ in range(repeats):
            for workload in WORKLOADS:
                for rival in RIVALS:
                    progress.update(task, description=f"{workload.__name__}, {rival.name}")
                    gc.collect()
                    with tempfile.TemporaryDirectory(dir=folder) as scratch:
                        try:
                            result = workload(rival, Path(scratch) / "bench.sqlite", size)
                        except WrongAnswerError as error:
                            wrong.append(f"{rival.name}, {workload.__name__}: {error}")
                            continue
                        finally:
                            progress.advance(task)
                    for name, value in result.figures.items():
                        figures[rival.name].setdefault(name, []).append(value)
                    if result.growth:
                        growth[rival.name] = result.growth
    return figures, growth, wrong


def surroundings() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": f"{platform.system()} {platform.machine()}",
        **{rival.name: rival.version for rival in RIVALS},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; returns exit code 1 if a saver gave a wrong answer."""
    options = arguments(argv)
    size = QUICK if options.quick else Size()
    repeats = options.repeats or (1 if options.quick else 3)
    console = Console()
    warm_up(options.folder)
    figures, growth, wrong = measure(size, repeats, options.folder, console)
    about = surroundings()
    title = f"a chat of {size.turns} turns, a thread of {size.checkpoints:,} checkpoints, repeats: "
    console.print(table(figures, title + str(repeats)))
    console.print("medians and ranges; ratios are best against best", style="dim")
    for key, value in about.items():
        console.print(f"{key}: {value}", style="dim", highlight=False)
    for line in wrong:
        console.print(f"WRONG ANSWER {line}", style="red")
    if options.json:
        report = {"about": about, "size": asdict(size), "figures": figures, "growth": growth}
        options.json.write_text(json.dumps({**report, "wrong": wrong}, indent=1))
    plot = options.plot or (None if options.quick else PLOT)
    if plot and not wrong:
        plot.parent.mkdir(parents=True, exist_ok=True)
        heading = f"A chat of {size.turns} turns, 1,000 characters each: size of the database"
        plot.write_text(chat_growth_svg(growth, heading))
        console.print(f"plot: {plot}", style="dim")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
