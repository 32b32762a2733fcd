"""Savers and stores that are wrong on purpose, each in one way: proof that the suite bites."""
