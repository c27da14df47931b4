"""Keep: is everything whole, a second copy of it, back from that copy, and what may go.

An open model comes in; findings, backups, archives and freed bytes go out.
"""

from keepwell.keeping.doctor import Finding, examine

__all__ = ["Finding", "examine"]
