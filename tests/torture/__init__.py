"""Calls of the operating system that fail, one at a time, in every command."""
