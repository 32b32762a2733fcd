"""The checkpoint savers on Redis: public classes, planner, registry, reading, writing."""
