"""Entry point of `python -m conformance_tests run mypkg:harness`."""

import sys

from conformance_tests.command.main import main

if __name__ == "__main__":
    sys.exit(main())
