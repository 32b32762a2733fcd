"""The contract of savers, one file per capability; `SaverConformance` is all of it."""
