"""The command as a whole: its entry point, and what it says where its extra is missing."""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Run the command; it ends the process."""
    try:
        import typer  # noqa: F401 (whether it is there)
    except ImportError:
        sys.stderr.write("checkpoint-suite needs: pip install 'langgraph-checkpoint-suite[cli]'\n")
        sys.exit(1)
    from checkpoint_suite.app import app

    # nothing that libraries log belongs into the output of a command
    logging.getLogger("langgraph").setLevel(logging.CRITICAL)
    logging.getLogger("checkpoint_mongo").setLevel(logging.ERROR)
    app(prog_name="checkpoint-suite")
