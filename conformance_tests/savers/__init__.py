"""Clauses about savers, one file per capability; `SaverConformance` combines them."""
