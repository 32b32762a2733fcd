"""Entry point of `python -m checkpoint_suite`."""

from __future__ import annotations

from checkpoint_suite.command import main

if __name__ == "__main__":
    main()
