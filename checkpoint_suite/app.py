"""The Typer application, with all commands registered by name."""

from __future__ import annotations

from collections.abc import Callable

import typer

from checkpoint_suite.commands import doctor, moving, prune, read, store, write
from checkpoint_suite.database import failing_softly

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
COMMANDS: dict[str, Callable[..., None]] = {
    "doctor": doctor.doctor,
    "setup": write.setup,
    "threads": read.threads,
    "show": read.show,
    "history": read.history,
    "diff": read.diff,
    "interrupts": read.interrupts,
    "delete": write.delete,
    "prune": prune.prune,
    "copy": write.copy,
    "migrate": moving.migrate,
    "export": moving.export,
    "import": moving.import_,
    "stats": read.stats,
    "sweep": write.sweep,
    "verify": doctor.verify,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(failing_softly(_command))

_store = typer.Typer(help="Long-term memory: items of a store.", no_args_is_help=True)
for _name, _command in store.COMMANDS.items():
    _store.command(_name)(failing_softly(_command))
app.add_typer(_store, name="store")


@app.callback()
def about() -> None:
    """Inspect and maintain what langgraph-checkpoint-suite has stored, on any of its databases.

    The database is --url, or the environment variable CHECKPOINT_URL. Values are decoded without
    importing or running any code but LangGraph's and LangChain's own classes. Encrypted values
    need LANGGRAPH_AES_KEY.
    """
