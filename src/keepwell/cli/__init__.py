"""The command line: each command calls one method of `Project` and shows what it answers.

Arguments come in; text for people or one JSON document for machines goes out, with an exit code: 0 done, 1 failed or refused,
2 usage or settings. `--help` stays quick because commands import what they need only when they run.
"""

from keepwell.cli.app import app, main

__all__ = ["app", "main"]
