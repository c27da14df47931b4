"""Where everything is kept: the record (SQL), versioned tables (Delta), content-addressed artifacts, and the timeline.

Other rooms hand this one rows, bytes and facts; it answers them back as they were at any moment.
"""

from keepwell.storage.artifacts import ArtifactStore, digest_of
from keepwell.storage.breaks import Break, Chain, dumped, follow, hash_at, walk
from keepwell.storage.chains import append_once, canonical, models_on_record
from keepwell.storage.database import HEAD, Database, insert_once
from keepwell.storage.engines import to_json
from keepwell.storage.files import Files, Listed
from keepwell.storage.history import KEEPWELL, Event, last_event, list_events, person, record_event
from keepwell.storage.moments import literal
from keepwell.storage.payloads import COMMIT, KNOWN
from keepwell.storage.sums import Flaw, flaws
from keepwell.storage.tables import Commit, Table

__all__ = [
    "COMMIT",
    "HEAD",
    "KEEPWELL",
    "KNOWN",
    "ArtifactStore",
    "Break",
    "Chain",
    "Commit",
    "Database",
    "Event",
    "Files",
    "Flaw",
    "Listed",
    "Table",
    "append_once",
    "canonical",
    "digest_of",
    "dumped",
    "flaws",
    "follow",
    "hash_at",
    "insert_once",
    "last_event",
    "list_events",
    "literal",
    "models_on_record",
    "person",
    "record_event",
    "to_json",
    "walk",
]
