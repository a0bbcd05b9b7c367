"""How fast Regather is, beside the tools it competes with, measured in one run on one machine."""
