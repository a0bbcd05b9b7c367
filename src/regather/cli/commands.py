"""The names of the commands: one module each, imported when it is called."""

from __future__ import annotations

GROUPS = {
    "download and host": ("get", "gateway", "publish", "check", "repair", "info"),
    "on one machine": ("split", "serve", "cluster", "demo", "generate"),
    "signatures": ("keygen", "sign"),
    "more": ("metalink", "config", "completion", "help"),
}
"""The commands as the overview shows them."""
COMMANDS = tuple(name for names in GROUPS.values() for name in names)
UNCONFIGURED = ("config", "completion", "help")
"""Commands that no configuration file says anything of."""
