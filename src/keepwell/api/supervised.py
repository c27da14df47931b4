"""What a supervisor that asks for it is told: ready, still alive, about to stop. The protocol is systemd's sd_notify(3)."""

from __future__ import annotations

import os
import socket

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def tell(state: str) -> None:
    """Send it to the socket that the supervisor named; without one, or when it does not listen, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as given:
        try:
            given.connect("\0" + address[1:] if address.startswith("@") else address)
            given.send(state.encode())
        except OSError:  # who does not listen cannot be told; the work goes on
            return


def beat_s() -> float | None:
    """Seconds between two signs of life: half of what the supervisor waits, as it recommends. None: it does not watch this process."""
    period, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not period.isdigit() or (process and process != str(os.getpid())):
        return None
    return int(period) / 2e6
