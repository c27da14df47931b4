"""The build's steps: prepare, train, evaluate, gate, register. Each has an identity before it runs and a kept result."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from keepwell.comparison import code_differences
from keepwell.errors import FeatureBanned, KeepwellError
from keepwell.evaluation import BASELINES, Evidence, GateDecision, Metric, by_slice, decide, losses, model_card, score, worth
from keepwell.evaluation import Check as GateCheck
from keepwell.ingestion import ALL, key_of, to_kind, to_polars
from keepwell.orchestration.context import Context
from keepwell.orchestration.replaying import replay, tell_replay
from keepwell.registry import Version, list_versions, register
from keepwell.retraining import RECALIBRATE
from keepwell.serving import Signature, compared, signature_of
from keepwell.storage import COMMIT, KNOWN, Event, digest_of, record_event
from keepwell.training import (
    Code,
    Recalibrated,
    Split,
    answers,
    begin_run,
    canonical_digest,
    content_of,
    end_run,
    environment,
    environment_lock,
    features_of,
    fit,
    from_bytes,
    get_run,
    git_state,
    golden_digest,
    golden_rows,
    inputs_and_labels,
    latency_ms,
    load_model,
    prove_no_lookahead,
    recalibrate,
    save_model,
    search,
    smoke,
    split,
    to_bytes,
    training_set,
    unpin,
)
from keepwell.training import Run as RunRecord
from keepwell.validation import contract_in_force, personal

Result = dict[str, Any]


def run_of(cycle: str, attempt: int) -> str:
    """The id of a cycle's build; a cycle that is tried again builds anew, with the code of that day."""
    return f"build-{cycle}" if attempt == 1 else f"build-{cycle}-{attempt}"


def begin(context: Context, run: str, cycle: str, as_of: datetime, reason: str, plan: Result) -> None:
    """Keep that a build began, the code it will run, and what the decision says of its rows (`plan`, mostly empty)."""
    artifacts = context.artifacts
    if plan.get("act") == RECALIBRATE:
        plan = {**plan, "of": context.champion()}
    made_of: Result = {
        "code": artifacts.put(context.code.archive),
        "settings": artifacts.put(context.settings_json()),
        "packages": artifacts.put(context.packages_json),
        "environment": artifacts.put(environment_lock()),
        **git_state(context.folder),
        **({"plan": plan} if plan else {}),
    }
    record = RunRecord(run, cycle, as_of, reason, "running", reason, datetime.now(UTC), None, made_of)
    with context.database.begin() as connection:
        begin_run(connection, context.name, record)


def prepare(context: Context, run: str, as_of: datetime) -> Result:
    """Everything known at `as_of` becomes a training set, kept as its own file; features are proved not to look ahead."""
    settings = context.settings.build
    model = context.model
    inputs = context.inputs(as_of)
    with context.database.read() as connection:
        begun = get_run(connection, context.name, run)
    plan: Result = begun.facts.get("plan", {}) if begun else {}
    parts = {
        **_code(context),
        "observations": content_of(inputs.pins["observations"]),
        "labels": content_of(inputs.pins["labels"]),
        "as_of": as_of.isoformat(),
        "lookahead_checks": settings.lookahead_checks,
        "seed": settings.seed,
        "banned": list(context.settings.rules.banned),
    }

    def work() -> Result:
        checked = prove_no_lookahead(model, inputs.observations, checks=settings.lookahead_checks, seed=settings.seed)
        begun = time.perf_counter()
        made = features_of(model, inputs.observations)
        seconds = time.perf_counter() - begun
        rows = training_set(model, made, inputs.labels)
        banned = {name.lower() for name in context.settings.rules.banned}
        if refused := [name for name in rows.columns[3:] if name.lower() in banned]:
            raise FeatureBanned(refused)
        return {
            "cost": {"seconds": round(seconds, 6), "rows": made.height},
            "rules": {"banned": len(banned), "features": len(rows.columns) - 3},
            "privacy": personal(inputs.observations, but=(COMMIT, KNOWN, ALL)),
            "training_set": context.artifacts.put(to_bytes(rows)),
            "rows": rows.height,
            "features": signature_of(rows.select(rows.columns[3:])),
            "pins": inputs.pins,
            "commits": inputs.commits,
            "cuts_checked": checked,
        }

    found = context.run_step(run, "prepare", parts, work)
    return {**found, "plan": plan} if plan else found


def _parted(context: Context, prepared: Result) -> Split:
    """The training set split forward in time, as the settings and the decision say."""
    rows = from_bytes(context.artifacts.get(prepared["training_set"]))
    plan = prepared.get("plan", {})
    at = pl.col(context.model.time)
    for low, until in plan.get("without", []):
        rows = rows.filter((at < datetime.fromisoformat(low)) | (at >= datetime.fromisoformat(until)))
    moments = {name: datetime.fromisoformat(plan[name]) for name in ("window_from", "judge_from") if name in plan}
    return split(context.model, rows, context.settings.build, **moments)


def _planned(context: Context, prepared: Result) -> Result:
    """What of the plan belongs to a step's identity; nothing for a build like any other."""
    plan = prepared.get("plan", {})
    return {"plan": {**plan, "of": _made_of(context, plan["of"])} if "of" in plan else plan} if plan else {}


def train(context: Context, run: str, prepared: Result) -> Result:
    """Fit on the rows before the holdout, and keep the model in a safe file with its answers to golden rows."""
    settings = context.settings
    parts = {
        **_code(context),
        "training_set": prepared["training_set"],
        "holdout_days": settings.build.holdout_days,
        "train_days": settings.build.train_days,
        "min_rows": settings.build.min_rows,
        "train": settings.train,
        **({"search": settings.search, "metric": context.metric} if settings.search else {}),
        "seed": settings.build.seed,
        **_planned(context, prepared),
    }
    of = prepared.get("plan", {}).get("of")

    def work() -> Result:
        model = context.model
        parted = _parted(context, prepared)
        found = _searched(context, parted.train) if settings.search and of is None else None
        chosen = found["settings"] if found else settings.train
        if of is None:
            estimator = fit(model, parted.train, settings=chosen, seed=settings.build.seed)
        else:
            estimator = _recalibrated(context, of, parted.train)
        file = save_model(estimator, settings.trust)
        loaded = load_model(file.format, file.data, settings.trust)  # what is judged is what will be loaded, not what was fitted
        X, _ = inputs_and_labels(parted.train)
        golden = golden_rows(X)
        return {
            "model_file": context.artifacts.put(file.data),
            "format": file.format,
            "size_bytes": len(file.data),
            "smoke": smoke(model, parted.train, settings=chosen, seed=settings.build.seed, trust=settings.trust),
            "canonical": canonical_digest(file, settings.trust),
            "golden": {
                "rows": context.artifacts.put(to_bytes(golden)),
                "answers": golden_digest(answers(loaded, golden, model.task, frame=model.frame)),
            },
            "train_rows": parted.train.height,
            "trained_from": parted.train[model.time].min().isoformat(),  # type: ignore[union-attr]
            "trained_until": parted.train[model.time].max().isoformat(),  # type: ignore[union-attr]
            "holdout_rows": parted.holdout.height,
            "holdout_from": parted.holdout_from.isoformat(),
            **({} if found is None else {"searched": found}),
            **({} if of is None else {"recalibrates": of, "aged_from": _aged_from(context.version(of).facts)}),
        }

    return context.run_step(run, "train", parts, work)


def _searched(context: Context, rows: pl.DataFrame) -> Result:
    """The best of `[search]` on these rows, by the loss that also decides at the gate."""
    settings, metric = context.settings, context.metric

    def loss(y: np.ndarray, p: np.ndarray) -> float:
        return float(losses(metric, y, p).mean())

    return search(context.model, rows, settings=settings.train, choices=settings.search, seed=settings.build.seed, loss=loss)


def _recalibrated(context: Context, number: int, rows: pl.DataFrame) -> Recalibrated:
    """A version's model with its answers put right on these rows. One that was put right before is taken as it was at first."""
    version = context.version(number)
    kind, data = version.format, context.artifacts.get(version.model_file)
    estimator = load_model(kind, data, context.settings.trust)
    if isinstance(estimator, Recalibrated):
        estimator, kind, data = estimator.inner, estimator.kind, estimator.inner_data
    X, y = inputs_and_labels(rows)
    task, frame = context.model.task, context.model.frame
    level, slope = recalibrate(task, answers(estimator, X, task, frame=frame), y)
    return Recalibrated(estimator, kind, data, task=task, frame=frame, level=level, slope=slope)


def _aged_from(facts: Result) -> str:
    """Time of the newest row that what a version knows of the world comes from; a recalibration does not make it younger."""
    found: str = facts.get("aged_from") or facts["trained_until"]
    return found


def evaluate(context: Context, run: str, as_of: datetime, prepared: Result, trained: Result) -> Result:
    """Answer the holdout with the new model, the champion and the baselines; score all of them, by slice too."""
    return evaluate_against(context, run, context.champion(), as_of, prepared, trained)


def evaluate_against(context: Context, run: str, champion: int | None, as_of: datetime, prepared: Result, trained: Result) -> Result:
    """`evaluate`, with the champion of that moment."""
    parts = {
        **_code(context),
        "training_set": prepared["training_set"],
        "model": trained["canonical"],
        "champion": _made_of(context, champion),
        "observations": content_of(prepared["pins"]["observations"]),
        "as_of": as_of.isoformat(),
        "metric": context.metric,
        **_planned(context, prepared),
    }

    def work() -> Result:
        model = context.model
        key = key_of(model.entity, model.time)
        parted = _parted(context, prepared)
        X, y = inputs_and_labels(parted.holdout)
        estimator = load_model(trained["format"], context.artifacts.get(trained["model_file"]), context.settings.trust)
        given = {"challenger": answers(estimator, X, model.task, frame=model.frame)}
        silent = replayed = None
        if champion is not None:
            try:
                given["champion"] = _champion_answers(context, champion, parted.holdout, parted.holdout_from, prepared, as_of, key)
                replayed = replay(context, champion, parted.holdout.select(key), given["champion"], as_of)
            except KeepwellError as error:
                silent = error.message  # it cannot be loaded or asked any more: then it must not stand in a new version's way
        horizon = timedelta(days=model.horizon_days)
        for name, baseline in {**BASELINES[model.task], **model.baselines}.items():
            given[f"baseline:{name}"] = baseline(parted.train, parted.holdout, entity=key[0], time=key[1], horizon=horizon)
        slices = _slices(context, parted.holdout)
        sheet = pl.DataFrame({"time": parted.holdout[key[1]], "y": y, **given}).hstack(slices.rename(lambda name: f"slice:{name}"))
        valued = worth(
            lambda rows: answers(estimator, rows, model.task, frame=model.frame),
            X,
            y,
            metric=context.metric,
            seed=context.settings.build.seed,
        )
        return {
            "worth": valued,
            "replayed": replayed,
            "sheet": context.artifacts.put(to_bytes(sheet)),
            "metrics": _plain(score(model.task, y, given["challenger"])),
            "champion": champion,
            "champion_silent": silent,
            "champion_metrics": _plain(_scored(model.task, y, given["champion"])) if "champion" in given else None,
            "baselines": {
                name.split(":")[1]: _plain(_scored(model.task, y, p)) for name, p in given.items() if name.startswith("baseline:")
            },
            "slices": [asdict(part) for part in by_slice(model.task, y, given["challenger"], slices)] if slices.width else [],
            "latency_ms": latency_ms(estimator, X, model.task, frame=model.frame),
            "runtime": _runtime(context, estimator, prepared, trained),
        }

    return context.run_step(run, "evaluate", parts, work)


def _runtime(context: Context, estimator: Any, prepared: Result, trained: Result) -> Result:
    """By what a server here would answer, and how far it lies from the model itself; a server compares again when it loads it."""
    model = context.model
    golden = from_bytes(context.artifacts.get(trained["golden"]["rows"]))

    def ask(rows: pl.DataFrame) -> np.ndarray:
        return answers(estimator, rows, model.task, frame=model.frame)

    told = compared(estimator, model.task, Signature(prepared["features"]), golden, ask).agreement.as_dict()
    return {name: value for name, value in told.items() if name != "row_ms"}  # which a clock says


def _champion_answers(
    context: Context, number: int, holdout: pl.DataFrame, since: datetime, prepared: Result, as_of: datetime, key: tuple[str, str]
) -> np.ndarray:
    """The champion's answers to the same rows, through its own features code; NaN where it has no row."""
    predictor = context.predictor(number)
    start = since - timedelta(days=predictor.model.lookback_days)
    observations = unpin(context.artifacts, prepared["pins"]["observations"], time=context.model.time, since=start)
    rows = predictor.features(observations)
    answered = rows.select(key).with_columns(pl.Series("answer", predictor.answer(rows)))
    return holdout.select(key).join(answered, on=list(key), how="left", maintain_order="left")["answer"].fill_null(float("nan")).to_numpy()


def _scored(task: Any, y: np.ndarray, p: np.ndarray) -> dict[str, Metric]:
    there = np.isfinite(p)
    return score(task, y[there], p[there])


def _slices(context: Context, rows: pl.DataFrame) -> pl.DataFrame:
    if context.model.slices is None:
        return pl.DataFrame()
    return to_polars(context.model.slices(to_kind(rows.drop("label"), context.model.frame)), "slices").select(pl.all().cast(pl.String))


def gate(context: Context, run: str, trained: Result, evaluated: Result) -> Result:
    """Hold the challenger against the champion, the baselines and the budgets."""
    parts = {
        "gate": context.settings.gate.model_dump(mode="json"),
        "sheet": evaluated["sheet"],
        "size_bytes": trained["size_bytes"],
        "latency_ms": evaluated["latency_ms"],
        "task": context.model.task,
    }

    def work() -> Result:
        sheet = from_bytes(context.artifacts.get(evaluated["sheet"]))
        slices = sheet.select(pl.col("^slice:.*$")).rename(lambda name: name.removeprefix("slice:"))
        evidence = Evidence(
            task=context.model.task,
            y=sheet["y"].to_numpy(),
            challenger=sheet["challenger"].to_numpy(),
            champion=sheet["champion"].to_numpy() if "champion" in sheet.columns else None,
            baselines={name.split(":")[1]: sheet[name].to_numpy() for name in sheet.columns if name.startswith("baseline:")},
            slices=slices if slices.width else None,
            latency_ms=evaluated["latency_ms"],
            size_mb=trained["size_bytes"] / 1e6,
        )
        decision = decide(context.settings.gate, evidence)
        silent = evaluated["champion_silent"]
        sentence = decision.sentence + (f" The champion could not be asked: {silent}" if silent else "")
        return {"passed": decision.passed, "sentence": sentence, "checks": [asdict(item) for item in decision.checks]}

    return context.run_step(run, "gate", parts, work)


def enter(context: Context, run: str, as_of: datetime, prepared: Result, trained: Result, evaluated: Result, gated: Result) -> int:
    """Register the version with its lineage and model card; it is kept whether the gate passed it or not."""
    artifacts = context.artifacts
    with context.database.read() as connection:
        in_force = contract_in_force(connection, context.name)
        number = max((version.number for version in list_versions(connection, context.name) if version.run != run), default=0) + 1
    facts: Result = {
        **{name: trained[name] for name in ("canonical", "golden", "size_bytes", "train_rows", "trained_from", "trained_until")},
        **{name: trained[name] for name in ("holdout_rows", "holdout_from")},
        **{name: evaluated[name] for name in ("metrics", "champion_metrics", "baselines", "slices", "latency_ms", "sheet")},
        **{name: prepared[name] for name in ("cost", "rules", "privacy") if name in prepared},
        **{name: trained[name] for name in ("smoke", "searched") if name in trained},
        **{name: evaluated[name] for name in ("worth",) if name in evaluated},
        "runtime": evaluated.get("runtime"),  # steps of earlier releases did not look
        "signature": prepared["features"],
        "pins": prepared["pins"],
        "commits": prepared["commits"],
        "parent": evaluated["champion"],
        "gate": gated,
        "seed": context.settings.build.seed,
        "packages": digest_of(context.packages_json),
        **{name: trained[name] for name in ("recalibrates", "aged_from") if name in trained},
        **({"window_from": window} if (window := prepared.get("plan", {}).get("window_from")) else {}),
    }
    version = Version(
        number=number,
        run=run,
        as_of=as_of,
        passed=gated["passed"],
        sentence=gated["sentence"],
        format=trained["format"],
        model_file=trained["model_file"],
        code=context.code.digest,
        contract=in_force.digest if in_force else None,
        settings=artifacts.put(context.settings_json()),
        training_set=prepared["training_set"],
        environment=artifacts.put(environment_lock()),
        card=artifacts.put(_card(context, run, number, as_of, prepared, trained, evaluated, gated).encode()),
        facts=facts,
    )
    with context.database.begin() as connection:
        kept = register(connection, context.name, version)
        status = "passed" if kept.passed else "refused"
        end_run(connection, context.name, run, status, kept.sentence)
        metric = evaluated["metrics"][context.metric]
        score_text = f"{context.metric} {metric['value']:.4f} on the newest {metric['n']:,}"
        made = f"is version {trained['recalibrates']} recalibrated" if "recalibrates" in trained else "was trained"
        sentence = f"Version {kept.number} {made} on {trained['train_rows']:,} rows; {score_text}"
        record_event(connection, context.name, f"{run}/trained", Event("trained", as_of, sentence, {"version": kept.number}))
        tell_replay(connection, context.name, f"{run}/replayed", as_of, evaluated.get("replayed"))
        if not kept.passed:
            refused = f"Version {kept.number} was refused: {kept.sentence.removeprefix('Refused: ')}"
            record_event(connection, context.name, f"{run}/refused", Event("refused", as_of, refused, {"version": kept.number}))
        if edited := code_differences(context.code.files(), Code.of(context.folder).files()):
            names = ", ".join(one.what for one in edited)
            sentence = f"{names} changed while version {kept.number} was built; it is of the code as it was when the build began"
            record_event(connection, context.name, f"{run}/edited", Event("edited", as_of, sentence, {"version": kept.number}))
    return kept.number


def fail(context: Context, run: str, message: str) -> None:
    """Keep that a build ended with an error."""
    with context.database.begin() as connection:
        end_run(connection, context.name, run, "failed", message)


def _card(
    context: Context, run: str, number: int, as_of: datetime, prepared: Result, trained: Result, evaluated: Result, gated: Result
) -> str:
    model = context.model
    decision = GateDecision(gated["passed"], tuple(GateCheck(**item) for item in gated["checks"]), gated["sentence"])
    return model_card(
        {
            "name": context.name,
            "task": model.task,
            "version": number,
            "created": as_of.isoformat(),
            "owner": context.settings.owner.owner,
            "library": trained["format"],
            "digest": trained["canonical"],
            "text": model.card,
            "data": {"source": context.settings.source.kind, "rows": prepared["rows"], "features": ", ".join(prepared["features"])},
            "training": {
                "rows": trained["train_rows"],
                "from": trained["trained_from"],
                "until": trained["trained_until"],
                "seed": context.settings.build.seed,
                "settings": json.dumps(trained["searched"]["settings"] if "searched" in trained else context.settings.train),
            },
            "evaluation": {"rows": trained["holdout_rows"], "since": trained["holdout_from"], "until": as_of.isoformat()},
            "metrics": evaluated["metrics"],
            "slices": evaluated["slices"],
            "baselines": evaluated["baselines"],
            "gate": decision,
            "lineage": {
                "run": run,
                "code": context.code.digest,
                "training_set": prepared["training_set"],
                "observations_commit": prepared["commits"]["observations"],
                "labels_commit": prepared["commits"]["labels"],
                "parent": evaluated["champion"],
                "model_file": trained["model_file"],
            },
            "environment": environment(),
        }
    )


def cycle_of(as_of: datetime) -> str:
    """The id of the cycle of a moment."""
    return as_of.strftime("%Y%m%dT%H%M%SZ")


def _code(context: Context) -> Result:
    return {
        "code": context.code.digest,
        "where": context.settings.model.model_dump(include={"file", "attribute"}),
        "packages": digest_of(context.packages_json),
    }


def _made_of(context: Context, number: int | None) -> Result | None:
    """A version by what it is made of: the same in every copy of the record."""
    if number is None:
        return None
    version = context.version(number)
    return {"version": number, "model": version.facts["canonical"], "code": version.code}


def _plain(metrics: dict[str, Metric]) -> dict[str, Any]:
    return {name: asdict(metric) for name, metric in metrics.items()}
