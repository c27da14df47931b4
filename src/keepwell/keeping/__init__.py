"""Keep: is everything whole, a second copy of it, back from that copy, and what may go.

An open model comes in; findings, backups, archives and freed bytes go out.
"""

from keepwell.keeping.archive import export, open_archive
from keepwell.keeping.backup import Backup, back_up, flaws_of, list_backups, open_backup
from keepwell.keeping.cleaning import clean
from keepwell.keeping.doctor import examine
from keepwell.keeping.records import Copy, Finding, Freed, Manifest, Restored, Told
from keepwell.keeping.restore import restore

__all__ = [
    "Backup",
    "Copy",
    "Finding",
    "Freed",
    "Manifest",
    "Restored",
    "Told",
    "back_up",
    "clean",
    "examine",
    "export",
    "flaws_of",
    "list_backups",
    "open_archive",
    "open_backup",
    "restore",
]
