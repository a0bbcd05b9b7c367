"""How fast Regather is, beside the tools it competes with, measured in one run on one machine."""

import os

# What is measured is what is built in, not the configuration of whoever measures.
os.environ["REGATHER_CONFIG"] = ""
