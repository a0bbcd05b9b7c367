"""Parsers fed with what nobody would send, guided by which of their lines it reaches.

harnesses  each parser with its inputs: what it may raise, what must hold of what it returns
seeds      the inputs to begin with, one a line in ``corpus/``
judge      errors, memory and time of one input
mutate     inputs made from others, where bytes alone lead nowhere
child      one harness in a process of its own, by atheris
covered    which lines of the parsers a corpus reaches

``python -m tests.fuzz`` runs them all; ``docs/reliability.md`` has what came of it.
"""
