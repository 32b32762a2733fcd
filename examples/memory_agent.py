"""Demo of a checkpoint saver on SQLite: an agent that remembers across processes and crashes.

    python -m examples.memory_agent [database file]

Needs no keys and no network; the chat model is scripted. Without a file name, the database is in
a temporary folder. Each line with a tick is a claim that the program has checked; the first claim
that does not hold ends the program with exit code 1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from langchain_core.messages import HumanMessage
from langgraph.graph import START
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from checkpoint_sqlite import SqliteSaver
from examples.memory_agent_steps import (
    CITIES,
    PATIENCE,
    STUCK,
    agent_on,
    on,
    prose,
    run_log,
    runs,
    say,
)

TURNS = 200
STUCK_CITY = "Cairo"
KILLED = -getattr(signal, "SIGKILL", -1)  # Windows has no signals: a killed process exits with 1
BAR = 24  # characters of the longest bar in the closing table

console = Console(highlight=False)
claims: list[str] = []


class ClaimError(Exception):
    """A claim of this program does not hold."""


def claim(holds: bool, text: str) -> None:
    """Print a claim that holds; raise ClaimError for one that does not."""
    if not holds:
        raise ClaimError(text)
    claims.append(text)
    console.print(f"  [green]✓[/] {text}")


def scene(number: int, title: str) -> None:
    """Print the heading of a scene."""
    console.print()
    console.rule(f"[bold]{number}  {title}", align="left", style="dim")


def spoken(who: str, text: str, style: str = "cyan") -> None:
    """Print a line of a conversation; long text wraps with an indent."""
    line = Table.grid(padding=(0, 1))
    line.add_column(width=7, style=style)
    line.add_column()
    line.add_row(who, escape(text))
    console.print(Padding(line, (0, 0, 0, 2), expand=False))


def note(text: str) -> None:
    """Print an event that is not part of the conversation."""
    console.print(f"  [dim]{text}[/]")


def turn(database: Path, thread: str, text: str) -> str:
    """Run and print one turn. The saver is opened for this turn only."""
    spoken(thread, text, "yellow")
    with agent_on(database) as agent:
        answer = say(agent, on(thread), text)
    spoken("agent", answer)
    return answer


@contextmanager
def another_process(
    step: str, database: Path, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Start a step of examples.memory_agent_steps in a new process; kill it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.memory_agent_steps", step, str(database)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def elsewhere(step: str, database: Path) -> str:
    """Run a step in a new process, and return the agent's answer."""
    with another_process(step, database) as process:
        note(f"process {process.pid} opens the file")
        out, _ = process.communicate(timeout=PATIENCE)
        if process.returncode != 0:
            raise ClaimError(f"process {process.pid} finishes its step {step!r}")
    answer = str(json.loads(out))
    spoken("agent", answer)
    return answer


def two_threads(database: Path) -> None:
    """Scene: chats on two threads stay apart."""
    scene(1, "Two chats in one file, which is opened anew for each turn")
    turn(database, "ann", "I keep bees.")
    turn(database, "bob", "I live on a boat.")
    turn(database, "ann", "I live in Oslo.")
    ann = turn(database, "ann", "What do you know about me?")
    bob = turn(database, "bob", "And what about me?")
    claim(ann == "You said: I keep bees. I live in Oslo.", "the agent remembers all of ann's chat")
    claim(bob == "You said: I live on a boat.", "and tells bob nothing of it")


def killed(database: Path) -> None:
    """Scene: a process is killed in the middle of a step, and another process resumes it."""
    scene(2, "Killed in the middle of a step")
    spoken("trip", "Compare the weather in four cities.", "yellow")
    with another_process("research", database, **{STUCK: STUCK_CITY}) as process:
        stored = finished_tasks(process, database)
        before = runs(database)
        process.kill()
        process.wait()
    note(f"process {process.pid} gets kill -9 while it waits for {STUCK_CITY}")
    claim(process.returncode == KILLED, "the process died in the middle of its step")
    answer = elsewhere("resume", database)
    after = runs(database)
    table = Table("task", "runs before the kill", "stored by then", "runs in all", box=box.SIMPLE)
    for city in CITIES:
        task = f"weather-{city}"
        kept = "yes" if city in stored else "no"
        table.add_row(f"weather({city})", str(before[task]), kept, str(after[task]))
    console.print(table)
    lost = [city for city, sky in CITIES.items() if f"{city}: {sky}" not in answer]
    claim(not lost, "nothing is lost: the answer has all four cities")
    counted = {city: after[f"weather-{city}"] for city in CITIES}
    once = dict.fromkeys(CITIES, 1)
    claim(
        counted == {**once, STUCK_CITY: 2},
        f"the {len(stored)} finished tasks were not run again, only {STUCK_CITY} was",
    )


def finished_tasks(process: subprocess.Popen[str], database: Path) -> list[str]:
    """Wait until the other process has stored all tasks but one; returns their cities."""
    wanted = [city for city in CITIES if city != STUCK_CITY]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if runs(database)[f"weather-{STUCK_CITY}"]:
            with agent_on(database) as agent:
                tasks = agent.get_state(on("trip")).tasks
            results = " ".join(str(task.result) for task in tasks)
            stored = [city for city in CITIES if CITIES[city] in results]
            if stored == wanted:
                return stored
        time.sleep(0.05)
    raise ClaimError(f"another process stores {', '.join(wanted)} and waits for {STUCK_CITY}")


def approved_later(database: Path) -> None:
    """Scene: an interrupt that another process answers."""
    scene(3, "An approval that is given later")
    spoken("trip", "Mail that.", "yellow")
    with agent_on(database) as agent:
        out = agent.invoke({"messages": [HumanMessage("Mail that.")]}, on("trip"))
    asked = [one.value for one in out["__interrupt__"]]
    spoken("agent", f"May I send this to {asked[0]['to']}? {asked[0]['text']}")
    with agent_on(database) as agent:
        waiting = agent.get_state(on("trip"))
    claim([one.value for one in waiting.interrupts] == asked, "the question is kept in the file")
    answer = elsewhere("approve", database)
    claim(answer == "mail to the boss sent", "another process gave the answer")
    with agent_on(database) as agent:
        claim(not agent.get_state(on("trip")).next, "and the thread has come to its end")


def forked(database: Path) -> None:
    """Scene: a second branch from an earlier checkpoint."""
    scene(4, "A fork from an earlier checkpoint")
    question = "What do you know about me?"
    with agent_on(database) as agent:
        head = agent.get_state(on("ann"))
        earlier = next(
            one
            for one in agent.get_state_history(on("ann"))
            if one.values["messages"] and one.values["messages"][-1].content == "I keep bees."
        )
        bees = earlier.values["messages"][-1]
        goats = HumanMessage("I keep goats.", id=bees.id)
        fork = agent.update_state(earlier.config, {"messages": [goats]}, as_node=START)
        agent.invoke(None, fork)
    note("back to the first turn of ann's chat, where it now says: I keep goats.")
    answer = turn(database, "ann", question)
    claim(answer == "You said: I keep goats.", "the branch goes on from the changed past")
    note("the same question at the end of the first branch")
    with agent_on(database) as agent:
        kept = agent.get_state(head.config).values
        answer = say(agent, head.config, question)
    spoken("agent", answer)
    claim(kept == head.values, "the first branch is as it was")
    claim(answer == "You said: I keep bees. I live in Oslo.", "and goes on as well")


def long_chat(database: Path) -> tuple[int, int]:
    """Scene: a long chat. Returns by how many bytes the file grew in each half of it."""
    scene(5, f"A chat of {TURNS} turns, about 1,000 characters each")
    sizes = [bytes_on_disk(database)]
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("turns", total=TURNS)
        for half in (range(TURNS // 2), range(TURNS // 2, TURNS)):
            with agent_on(database) as agent:
                for at in half:
                    say(agent, on("long"), prose(f"turn {at}"))
                    progress.advance(bar)
            sizes.append(bytes_on_disk(database))
    with agent_on(database) as agent:
        messages = agent.get_state(on("long")).values["messages"]
    expected = [
        text for at in range(TURNS) for text in (prose(f"turn {at}"), prose(f"answer {2 * at + 1}"))
    ]
    claim(
        [one.content for one in messages] == expected,
        f"all {len(messages)} messages are there, word for word",
    )
    return sizes[1] - sizes[0], sizes[2] - sizes[1]


def bytes_on_disk(database: Path) -> int:
    """The size of the database file, its write-ahead log and its shared memory."""
    files = [database.with_name(database.name + end) for end in ("", "-wal", "-shm")]
    return sum(file.stat().st_size for file in files if file.exists())


def measure(database: Path) -> tuple[int, int, int]:
    """Number of checkpoints, bytes of text in all messages, bytes that whole snapshots take."""
    said: dict[tuple[str, str], str] = {}
    checkpoints = snapshots = 0
    with SqliteSaver.from_conn_string(str(database)) as saver:
        for one in saver.list(None):
            checkpoints += 1
            # the bytes that a saver without deduplication writes for this checkpoint
            snapshots += len(saver.serde.dumps_typed(one.checkpoint)[1])
            thread = one.config["configurable"]["thread_id"]
            for message in one.checkpoint["channel_values"].get("messages", []):
                said[thread, f"{message.id} {message.content}"] = str(message.content)
    return checkpoints, sum(len(text.encode()) for text in said.values()), snapshots


def bill(database: Path, first: int, second: int) -> None:
    """Print the size on disk, compared with the size of whole snapshots."""
    with console.status("reading every checkpoint"):
        checkpoints, text, snapshots = measure(database)
    disk = bytes_on_disk(database)
    table = Table(title=f"{checkpoints:,} checkpoints", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("MB", justify="right")
    table.add_column("times the text", justify="right")
    table.add_column("")
    for name, size, style in (
        ("text said", text, "cyan"),
        ("bytes on disk, all of it", disk, "green"),
        ("as whole snapshots", snapshots, "red"),
    ):
        bar = "█" * round(BAR * size / snapshots) or "▏"
        table.add_row(name, f"{size / 1e6:,.2f}", f"{size / text:,.1f}", f"[{style}]{bar}[/]")
    console.print()
    console.print(table)
    claim(10 * disk <= snapshots, f"{snapshots / disk:.0f} times less than whole snapshots")
    claim(
        second <= 1.5 * first,
        f"linear: {first / 1e6:.2f} MB for the first {TURNS // 2} turns, "
        f"{second / 1e6:.2f} MB for the second",
    )


def show(database: Path) -> None:
    """Run all scenes."""
    console.print(Panel(f"[bold]An agent that remembers[/]\n[dim]{database}[/]", expand=False))
    two_threads(database)
    killed(database)
    approved_later(database)
    forked(database)
    bill(database, *long_chat(database))
    console.print(f"\n[bold green]All {len(claims)} claims were checked and hold.[/]")


def main(arguments: Sequence[str]) -> int:
    """Run the demo; returns the exit code."""
    try:
        if not arguments:
            with tempfile.TemporaryDirectory(prefix="memory-agent-") as folder:
                show(Path(folder) / "memory.db")
            return 0
        database = Path(arguments[0]).resolve()
        if database.exists():
            console.print(f"{database} is there already; the demo makes a new file", soft_wrap=True)
            return 2
        run_log(database).unlink(missing_ok=True)
        show(database)
    except ClaimError as error:
        console.print(f"  [bold red]✗ this does not hold:[/] {error}", soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
