"""Where everything is kept: the record (SQL), versioned tables (Delta), content-addressed artifacts, and the timeline.

Other rooms hand this one rows, bytes and facts; it answers them back as they were at any moment.
"""

from keepwell.storage.artifacts import ArtifactStore, digest_of
from keepwell.storage.database import HEAD, Database, insert_once
from keepwell.storage.engines import to_json
from keepwell.storage.files import Files, Listed
from keepwell.storage.history import Event, last_event, list_events, record_event
from keepwell.storage.moments import literal
from keepwell.storage.payloads import COMMIT, KNOWN
from keepwell.storage.sums import Flaw, flaws
from keepwell.storage.tables import Commit, Table

__all__ = [
    "COMMIT",
    "HEAD",
    "KNOWN",
    "ArtifactStore",
    "Commit",
    "Database",
    "Event",
    "Files",
    "Flaw",
    "Listed",
    "Table",
    "digest_of",
    "flaws",
    "insert_once",
    "last_event",
    "list_events",
    "literal",
    "record_event",
    "to_json",
]
