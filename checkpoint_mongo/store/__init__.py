"""The stores on MongoDB: public classes, planner, search."""
