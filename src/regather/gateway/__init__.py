"""Hosted files for everything that speaks HTTP: recombined and verified while they are read.

app (server.BaseApplication) -> catalogue -> hosted file -> window -> engine.Session
"""

from __future__ import annotations
