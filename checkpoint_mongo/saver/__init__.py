"""The checkpoint savers: public classes, planner, reading, writing."""
