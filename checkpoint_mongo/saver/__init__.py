"""The checkpoint savers on MongoDB: public classes, planner, documents, reading, writing."""
