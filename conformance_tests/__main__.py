"""`python -m conformance_tests run mypkg:harness`."""

import sys

from conformance_tests.command import main

sys.exit(main())
