"""``python -m bench.simulate``."""

from __future__ import annotations

import sys

from bench.simulate.cli import main

if __name__ == "__main__":
    sys.exit(main())
