"""Which commands there are."""

COMMANDS = (
    *("get", "publish", "check", "repair", "info", "split", "serve", "cluster", "demo"),
    *("generate", "metalink", "config", "completion", "help"),
)
UNCONFIGURED = ("config", "completion", "help")
"""Commands that no configuration file says anything of."""
