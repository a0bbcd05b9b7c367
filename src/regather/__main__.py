"""``python -m regather``."""

from regather.cli import run

run()
