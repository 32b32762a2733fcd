"""Entry point of the command `checkpoint-suite`."""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Run the command and exit the process; exit code 1 if the extra `cli` is not installed."""
    try:
        import typer  # noqa: F401 (whether it is there)
    except ImportError:
        sys.stderr.write("checkpoint-suite needs: pip install 'langgraph-checkpoint-suite[cli]'\n")
        sys.exit(1)
    from checkpoint_suite.app import app

    # keep log messages of libraries out of the command's output
    logging.getLogger("langgraph").setLevel(logging.CRITICAL)
    logging.getLogger("checkpoint_mongo").setLevel(logging.ERROR)
    app(prog_name="checkpoint-suite")
