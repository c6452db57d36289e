"""The documentation, executed.

`blocks` finds the commands, queries and links of README.md and docs/, `session` executes them against a server that
speaks Zoom, `exceptions` names what is executed otherwise or not at all, and why. `quick_start` is a script: it
executes the quick start of the README and nothing else.
"""
