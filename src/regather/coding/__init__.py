"""Erasure coding: the codec, where fragments go, and what may be lost."""
