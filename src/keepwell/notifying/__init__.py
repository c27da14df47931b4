"""Tell people and machines, once per fact: what is to be told is kept in the transaction of the fact itself.

A notice comes in from the rooms above; it goes out to whoever is named.
"""

from keepwell.notifying.tables import Notice, Stuck, enqueue, list_notices, stuck

__all__ = ["Notice", "Stuck", "enqueue", "list_notices", "stuck"]
