"""The stores on Redis: public classes, planner, filters, vector search."""
