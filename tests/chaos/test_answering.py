"""A shipper that dies between its steps, a full disk, a read-only one: what was acknowledged is in the ledger, once.

`make chaos-answers` does the same at full size, with 30 kills. A server that is killed: tests/api/test_process.py, and test_workers.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from answering import SHIPPER_DIES, STEPS, added_rows, starved
from disks import CannotMount, mounted
from processes import SOURCES

from keepwell import Project
from keepwell.serving import Journal

RECORD = {
    "entity": "",
    "time": "2026-01-18T00:00:00.000000+00:00",
    "version": 1,
    "answer": 0.5,
    "made_at": "2026-01-18T00:00:00.000000+00:00",
    "origin": "api",
    "inputs": {"warmth": 1.0, "cloud": 0.5},
}

pytestmark = [pytest.mark.sqlite("is about the journal before the record"), pytest.mark.local("and a local disk")]


def test_a_full_disk_and_a_read_only_one_refuse_and_what_was_acknowledged_is_kept(tiny: Path, tmp_path: Path) -> None:
    with ExitStack() as mount:
        try:
            disk = mount.enter_context(mounted(tmp_path / "disk"))
        except CannotMount as error:
            pytest.skip(str(error))
        ending, refusals = starved(tiny, disk, workers=0)
    assert ending.is_right and not ending.broken, ending
    assert refusals == {(503, "1")}


SHIPS = """
import sys
from keepwell import Project
with Project(sys.argv[1]) as project:
    project.ship()
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_shipper_that_dies_between_its_steps_loses_and_doubles_nothing(tiny: Path, step: str) -> None:
    sent = [f"{place:032x}" for place in range(3)]
    with Journal(tiny / ".keepwell/journal") as journal:
        for name in sent:
            record = RECORD | {"prediction_id": name}
            journal.append(json.dumps(record).encode()).result(10)
            journal.roll()
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    died = subprocess.run([sys.executable, "-c", SHIPPER_DIES.format(**STEPS[step]) + SHIPS, str(tiny)], check=False, env=environment)
    assert died.returncode == -signal.SIGKILL
    with Project(tiny) as project:
        project.ship()
        assert project.ship() == 0
        assert sorted(project.context.predictions.rows().filter(origin="api")["prediction_id"]) == sent
        assert added_rows(project) == len(sent)
