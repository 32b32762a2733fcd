"""Other packages under the suite, for docs/conformance.md. They are not in the test environment."""
