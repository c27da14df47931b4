"""Remember: immutable model versions with their lineage, and aliases whose whole history is kept.

A version number and what it was made of come in; which version an alias named, at any moment, goes out.
"""

from keepwell.registry.records import CHALLENGER, CHAMPION, PREVIOUS, AliasChange, Swept, Version, digests_of
from keepwell.registry.tables import (
    alias_at,
    aliases_now,
    champions,
    get_version,
    list_alias_changes,
    list_versions,
    record_swept,
    refuse_swept,
    register,
    set_alias,
    swept_versions,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "AliasChange",
    "Swept",
    "Version",
    "alias_at",
    "aliases_now",
    "champions",
    "digests_of",
    "get_version",
    "list_alias_changes",
    "list_versions",
    "record_swept",
    "refuse_swept",
    "register",
    "set_alias",
    "swept_versions",
]
