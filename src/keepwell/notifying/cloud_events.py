"""A notice as a CloudEvent 1.0, the form in which other tools follow what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from keepwell.notifying.records import Kept

if TYPE_CHECKING:
    from cloudevents.core.v1.event import CloudEvent

CONTENT_TYPE = "application/cloudevents+json"
BATCH_TYPE = "application/cloudevents-batch+json"


def type_of(kind: str) -> str:
    """The CloudEvents type of a kind of notice.

    Examples
    --------
    >>> type_of("incident.opened")
    'dev.keepwell.incident.opened.v1'
    """
    return f"dev.keepwell.{kind}.v1"


def cloud_event(kept: Kept) -> CloudEvent:
    """The event; `sequence` is the cursor after it, in twelve digits, so that its order as text is its order."""
    from cloudevents.core.v1.event import CloudEvent

    notice = kept.notice
    attributes = {
        "id": kept.id,
        "source": f"/models/{quote(kept.model, safe='')}",
        "type": type_of(notice.kind),
        "time": notice.at,
        "datacontenttype": "application/json",
        "severity": notice.severity,
        "sequence": f"{kept.number:012d}",
        **({"subject": notice.subject} if notice.subject else {}),
    }
    data = {
        "model": kept.model,
        "kind": notice.kind,
        "sentence": notice.sentence,
        "severity": notice.severity,
        "recipients": list(notice.recipients),
        "facts": notice.facts,
    }
    return CloudEvent(attributes, data)


def to_body(kept: Kept) -> bytes:
    """The event as JSON, all in the body (structured content mode)."""
    from cloudevents.core.formats.json import JSONFormat

    return JSONFormat().write(cloud_event(kept))


def to_batch(kept: list[Kept]) -> bytes:
    """Some events as one JSON array."""
    return b"[" + b",".join(to_body(one) for one in kept) + b"]"
