"""The saver core: what every backend shares."""
