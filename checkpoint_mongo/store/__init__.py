"""The stores: public classes, planner, search."""
