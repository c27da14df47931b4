"""The results as docs/serving-benchmark.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HEAD = """# Keepwell beside other servers

Written by `python benchmarks/serving/run.py` (first `--install`, which makes each peer an environment from its pinned
requirement file, and `apt-get install wrk`). One run, one machine, the same fitted estimators, the same {bodies} rows sent in turn
over kept-alive connections, one row a request, one worker each, no access logs. **Keepwell and the bare durable ceiling have every
answer on the disk before they send it; no other server in the table keeps anything.** CPU is what all of a server's processes used, a
request, and for Keepwell includes moving the log into the predictions table. Medians of {repeats} runs of {seconds:g} s.

{machine}. Other programs used {other} of the CPUs meanwhile: {reading}
"""

KINDS = {
    "lightgbm": "LightGBM, 200 trees of 31 leaves, 20 numbers",
    "pipeline": "scikit-learn pipeline: imputers, one-hot encoder, histogram boosting of 100 trees; 16 numbers with gaps and 4 categories",
}


def write_page(results: dict[str, Any], path: Path) -> None:
    """Write the page."""
    servers = results["servers"]
    other = [load["other_cpu"] for server in servers for load in server["loads"]]
    busy = f"{min(other):.1f} to {max(other):.1f}"
    reading = "the machine was shared, so read CPU and ratios, not requests a second." if max(other) > 0.3 else "the machine was quiet."
    figures = {"bodies": 256, "repeats": results["repeats"], "seconds": results["seconds"], "machine": results["machine"]}
    lines = [HEAD.format(**figures, other=busy, reading=reading)]
    for kind, title in KINDS.items():
        chosen = [server for server in servers if server["kind"] == kind]
        if chosen:
            lines += [f"## {title}", "", *_table(chosen), "", *_ratios(chosen), ""]
    lines += _unlike(servers)
    path.write_text("\n".join(lines).rstrip() + "\n")


def _table(servers: list[dict[str, Any]]) -> list[str]:
    head = "| server | CPU ms a request at 1 / 16 / 64 | requests a second at 1 / 16 / 64 "
    head += "| p50 / p99 ms at 16 | p99 ms at 64 | MiB | s to start | failed |"
    rows = [head, "| --- | --: | --: | --: | --: | --: | --: | --: |"]
    for server in servers:
        loads = server["loads"]
        name = f"{server['name']} ({server['note']})" if server["note"] else server["name"]
        cpu = " / ".join(f"{load['cpu_ms']:.2f}" for load in loads)
        rate = " / ".join(f"{load['per_s']:,.0f}" for load in loads)
        mid, last = loads[1], loads[2]
        failed = sum(load["failed"] for load in loads)
        late = f"{mid['p50_ms']:.1f} / {mid['p99_ms']:.0f} | {last['p99_ms']:.0f}"
        rows.append(f"| {name} | {cpu} | {rate} | {late} | {server['memory_mib']:.0f} | {server['start_s']:.1f} | {failed} |")
    return rows


def _ratios(servers: list[dict[str, Any]]) -> list[str]:
    ours = next((server for server in servers if server["name"] == "Keepwell"), None)
    if ours is None:
        return []
    said = []
    for server in servers:
        if server["name"].startswith("Keepwell"):
            continue
        times = [_times(theirs, mine) for theirs, mine in zip(server["loads"], ours["loads"], strict=True)]
        said.append(f"{server['name']} {' / '.join(times)}")
    lines = ["CPU a request as a multiple of Keepwell's, at 1 / 16 / 64: " + "; ".join(said) + "."]
    ceiling = next((server for server in servers if server["name"] == "bare durable ceiling"), None)
    if ceiling:
        share = " / ".join(f"{mine['per_s'] / most['per_s']:.2f}" for mine, most in zip(ours["loads"], ceiling["loads"], strict=True))
        lines += ["", f"Keepwell's requests a second as a share of the bare durable ceiling's: {share}."]
    return lines


def _times(theirs: dict[str, Any], mine: dict[str, Any]) -> str:
    """So many times Keepwell's CPU; nothing where too few requests were answered to tell."""
    times = theirs["cpu_ms"] / mine["cpu_ms"]
    return "-" if theirs["per_s"] < 5 else f"{times:.0f}" if times >= 10 else f"{times:.1f}"


def _unlike(servers: list[dict[str, Any]]) -> list[str]:
    """How far the first answers of the servers lie apart: all must serve the same model."""
    lines = ["## Do they answer the same?", ""]
    for kind in KINDS:
        ours = next((server["values"] for server in servers if server["kind"] == kind and server["name"] == "Keepwell"), None)
        if ours is None:
            continue
        for server in servers:
            if server["kind"] == kind and not server["name"].startswith(("Keepwell", "bare echo")):
                apart = max(abs(one - other) for one, other in zip(server["values"], ours, strict=True))
                lines.append(f"- {kind}, {server['name']}: differs by at most {apart:.1g} on three rows.")
    return [*lines, "", "MLflow's scoring answers the class, the others the probability of class 1."]
