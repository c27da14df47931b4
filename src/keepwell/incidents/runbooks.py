"""What to do, by the cause: the next act in one line, and the steps behind it. `[runbooks]` in the settings stands above these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Runbook:
    """`act` is the next act, one clause; `text` the steps, or an address."""

    act: str
    text: str


DATA = Runbook(
    "mend the source of {column}",
    "1. `keepwell why` and `keepwell quarantine list` show what changed and which rows it touched.\n"
    "2. Have the source mended. A change that is meant goes into contract.toml, with its unit.\n"
    "3. Rows that were right after all: `keepwell quarantine release ID`. Broken ones: `keepwell quarantine drop ID`.\n"
    "4. Retraining is held meanwhile by itself; when good rows come again it goes on. The incident ends by itself.",
)
RELATION = Runbook(
    "see what the next version does",
    "1. `keepwell why` shows in which region the model errs and what was changed near the beginning.\n"
    "2. The policy builds a new version when the model is unwell and nothing holds it: `keepwell status` says what does.\n"
    "3. By hand: `keepwell run --build`; when the previous version did better: `keepwell rollback`.\n"
    "4. The incident ends when the decline is proven to be over, or another version takes its place.",
)
SOURCE = Runbook(
    "see why the source gives nothing",
    "1. `keepwell history --kind source_failed` says what it answered; ask it by hand.\n"
    "2. Has it moved, or does it want other credentials? [source] in keepwell.toml.\n"
    "3. The next cycle gathers what was missed, as far back as the cursor needs. The incident ends by itself.",
)
CYCLES = Runbook(
    "see why no cycle ends: `keepwell doctor`",
    "1. `keepwell doctor` names what is wrong and its cure: disk, database, code, workers.\n"
    "2. Is `keepwell up` or `keepwell work` running? `keepwell run` runs one cycle by hand.\n"
    "3. A cycle gathers all that came since the last; nothing needs to be repeated. The incident ends by itself.",
)
SKEW = Runbook(
    "see how the caller computes {column}",
    "1. `keepwell explain ID` shows the features as served beside those that the model's own code computes.\n"
    "2. Have the caller compute them as `features` in model.py does, or send only the entity: the server computes them then.\n"
    "3. Questions of the kind 'what if' should name no entity: they are then not held against the data.\n"
    "4. The incident ends by itself when what is served agrees again.",
)
BY_KIND = {
    "missing labels": Runbook(
        "see why labels stay away",
        "1. Does the label function get the rows it needs, or does nobody post labels (POST /models/NAME/labels)?\n"
        "2. Until they come nobody knows how good the answers are. Labels that come late are joined by themselves.",
    ),
    "no traffic": Runbook(
        "see whether callers reach the server",
        "1. GET /health/ready answers whether a version is loaded. Do callers have the address and the token?\n"
        "2. If nobody should ask: leave [silence] traffic_hours unset.",
    ),
    "dead notifier": Runbook(
        "see why notices do not arrive",
        "1. Are the addresses under [people] and the webhooks right, and reachable from here?\n"
        "2. Nothing is lost: notices wait and are told in order when it works again.",
    ),
    "no answers": Runbook(
        "see why the version cannot answer: `keepwell doctor`",
        "1. `keepwell doctor` loads it and asks it its golden rows; packages that changed are the usual reason.\n"
        "2. `keepwell rollback` goes back to the version before. Rows that are due are answered by the next cycle that can.",
    ),
    "broken answers": Runbook(
        "go back to the version before: `keepwell rollback`",
        "1. `keepwell rollback` if a new version brought it; `keepwell history` shows what was changed.\n"
        "2. `keepwell doctor` asks it its golden rows.",
    ),
    "constant answers": Runbook(
        "see what the model is asked",
        "1. `keepwell predict` shows the newest answers with their inputs: are those constant too? Then mend the source.\n"
        "2. If a new version brought it: `keepwell rollback`.",
    ),
    "old model": Runbook(
        "build a version: `keepwell run --build`",
        "1. `keepwell status` says what holds retraining.\n"
        "2. `keepwell run --build` builds one now; the gate decides whether it is better.",
    ),
    "missed cycle": CYCLES,
    "dead worker": CYCLES,
    "other answers": Runbook(
        "see which packages the server runs: `keepwell doctor`",
        "1. `keepwell doctor` loads the version here and asks it its golden rows.\n"
        "2. Who answered otherwise? `keepwell explain ID` shows it: a server with other packages, or an application of your own that names "
        "this version.\n"
        "3. The incident ends by itself when what is served agrees again.",
    ),
    "late data": SOURCE,
    "stale": SOURCE,
}
BY_CLASS = {
    "data_quality": DATA,
    "source": SOURCE,
    "skew": SKEW,
    "keepwell": CYCLES,
    "concept_shift": RELATION,
    "label_shift": RELATION,
    "covariate_shift": RELATION,
    "unknown": RELATION,
}


def runbook_of(own: Mapping[str, str], cls: str, kind: str, column: str) -> Runbook:
    """The runbook of a cause; the settings' own one, named by kind or class, stands above the built-in one."""
    built_in = BY_KIND.get(kind) or BY_CLASS.get(cls, RELATION)
    act = built_in.act.format(column=column or "the data")
    named = own.get(kind) or own.get(kind.replace(" ", "_")) or own.get(cls)
    return Runbook(act, named) if named else Runbook(act, built_in.text)
