"""`python -m keepwell`, the same as `keepwell`."""

from keepwell.cli import main

main()
