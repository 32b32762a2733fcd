"""Whether a saver or a store can be used: open or closed, set up or not, on which event loop."""
