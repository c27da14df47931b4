"""Telling people and machines: what is to be told waits in an outbox, in the transaction of its fact, until each channel has it.

Notices come in from other rooms by `enqueue`; messages through Apprise, and signed CloudEvents, go out by a `Sender`.
"""

from keepwell.notifying.channels import Channel, channels_of, ping
from keepwell.notifying.cloud_events import BATCH_TYPE, cloud_event, to_batch, type_of
from keepwell.notifying.delivering import Sender, Turn
from keepwell.notifying.records import GIVEN_UP, PENDING, SEVERITIES, STATES, Delivery, Kept, Notice, Stuck, Told, event_id
from keepwell.notifying.tables import enqueue, list_events_after, list_told, plan_again, stuck, try_again, unreached
from keepwell.notifying.trying import Tried, replay, try_channels

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
    "Sender",
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
    "plan_again",
    "replay",
    "stuck",
    "to_batch",
    "try_again",
    "try_channels",
    "type_of",
    "unreached",
]
