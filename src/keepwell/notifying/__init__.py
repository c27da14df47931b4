"""Telling people and machines: what is to be told waits in an outbox, in the transaction of its fact, until each channel has it.

Notices come in from other rooms by `enqueue`; messages through Apprise, and signed CloudEvents, go out by a `Sender`.
"""

from keepwell.notifying.channels import Channel, channels_of, ping
from keepwell.notifying.cloud_events import BATCH_TYPE, cloud_event, to_batch, type_of
from keepwell.notifying.delivering import Sender, Turn
from keepwell.notifying.notifier import Notifier
from keepwell.notifying.records import GIVEN_UP, PENDING, SEVERITIES, STATES, Delivery, Kept, Notice, Severity, Stuck, Told, event_id
from keepwell.notifying.tables import enqueue, list_events_after, list_told, stuck, unreached
from keepwell.notifying.trying import Tried

__all__ = [
    "BATCH_TYPE",
    "GIVEN_UP",
    "PENDING",
    "SEVERITIES",
    "STATES",
    "Channel",
    "Delivery",
    "Kept",
    "Notice",
    "Notifier",
    "Sender",
    "Severity",
    "Stuck",
    "Told",
    "Tried",
    "Turn",
    "channels_of",
    "cloud_event",
    "enqueue",
    "event_id",
    "list_events_after",
    "list_told",
    "ping",
    "stuck",
    "to_batch",
    "type_of",
    "unreached",
]
