"""Stores: places that objects can be put into, one module a kind; ``open`` finds the right one."""
