"""`call_timeout`, cancellation, and the watchdog for blocking drivers."""
