"""`call_timeout`, cancellation, and a watchdog that ends slow statements of blocking drivers."""
