"""Run the real planner against modelled sources in virtual time, beside the fluid limit."""
