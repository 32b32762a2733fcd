"""Checks before each call: is the object open, on the right event loop, and set up?"""
