"""Drive one HTTP server with wrk and say what it cost: requests a second, latency, CPU of the server's processes, memory."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

SCRIPT = """
local bodies = {}
for line in io.lines("%(bodies)s") do bodies[#bodies + 1] = line end
local at = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  at = at %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT %%d %%d %%d %%d %%.1f %%.1f\\n", summary.requests, summary.duration,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """One run: `cpu_ms` is what the server's processes used a request, `other_cpu` how many CPUs the rest of the machine used."""

    concurrency: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    failed: int
    other_cpu: float


@dataclass
class Running:
    """A started server."""

    process: subprocess.Popen[bytes]
    url: str
    start_s: float

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_s(self) -> float:
        return sum(sum(one.cpu_times()[:2]) for one in self.family())

    def memory_mib(self) -> float:
        return sum(one.memory_full_info().pss for one in self.family()) / 2**20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(url: str, body: bytes, timeout: float = 30) -> bytes:
    asked = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=timeout) as answer:
        return bytes(answer.read())


@contextmanager
def started(
    command: Sequence[str], port: int, path: str, body: bytes, *, folder: Path, environment: Mapping[str, str]
) -> Iterator[Running]:
    """Start a server; it is up when it has answered `body`."""
    log = folder / "server.log"
    begin = time.monotonic()
    with log.open("wb") as written:
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=written, stderr=written, start_new_session=True)
    url = f"http://127.0.0.1:{port}{path}"
    try:
        while True:
            try:
                post(url, body)
                break
            except (OSError, urllib.error.URLError) as error:
                if process.poll() is not None or time.monotonic() - begin > 120:
                    raise RuntimeError(f"{command[0]} did not come up: {error}\n{log.read_text(errors='replace')[-2000:]}") from None
                time.sleep(0.05)
        yield Running(process, url, time.monotonic() - begin)
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        for one in family:
            if one.is_running():
                one.kill()


def drive(server: Running, bodies: Sequence[bytes], concurrency: int, seconds: float) -> Load:
    """Send the bodies in turn over so many kept-alive connections, as fast as they are answered."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as scratch:
        lines, script = Path(scratch) / "bodies", Path(scratch) / "script.lua"
        lines.write_bytes(b"\n".join(bodies))
        script.write_text(SCRIPT % {"bodies": lines})
        busy, cpu = _busy_s(), server.cpu_s()
        begin = time.monotonic()
        command = [wrk, "-t1", f"-c{concurrency}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(script), server.url]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        taken = time.monotonic() - begin
        used = server.cpu_s() - cpu
        found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\S+) (\S+)", said.stdout)
        assert found, said.stdout + said.stderr
    requests, micros, wrong, lost = (int(found[place]) for place in range(1, 5))
    ours = used + _own_cpu_s()
    return Load(
        concurrency,
        requests / (micros / 1e6),
        float(found[5]) / 1e3,
        float(found[6]) / 1e3,
        used / max(requests, 1) * 1e3,
        wrong + lost,
        max(0.0, (_busy_s() - busy - ours) / taken),
    )


_seen_children = 0.0


def _own_cpu_s() -> float:
    """What this process's ended children (wrk) used since the last call."""
    global _seen_children
    times = psutil.Process().cpu_times()
    now = times.children_user + times.children_system
    used, _seen_children = now - _seen_children, now
    return float(used)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def read_rows(folder: Path) -> list[dict[str, object]]:
    return list(json.loads((folder / "rows.json").read_text()))
