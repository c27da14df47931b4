"""`keepwell check`: try everything a cycle will do on a small window, keep nothing, and tell all that is not right yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from keepwell.errors import KeepwellError, NameInvalid, SettingInvalid, SourceInvalid

if TYPE_CHECKING:
    import polars as pl

    from keepwell.ingestion import Window
    from keepwell.model import Model
    from keepwell.settings import ModelSection, Settings

FEW_DAYS = 120  # of rows to try: a season, so that most features and labels appear
ENOUGH_ROWS = 20  # to train on
ALL_SEASONS = 300  # days that hold something of each


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `state` is "ok", "note" (worth a look) or "wrong", `message` says what to do."""

    about: str
    state: str
    message: str


@dataclass
class _Bench:
    """What has been found out so far; a step that cannot go on leaves the next ones out."""

    folder: Path
    now: datetime
    findings: list[Finding] = field(default_factory=list)

    def tell(self, about: str, message: str, state: str = "ok") -> None:
        self.findings.append(Finding(about, state, message))

    def attempt(self, about: str, work: Callable[[], Any]) -> Any:
        """What `work` answers, or None with the problem told."""
        try:
            return work()
        except KeepwellError as error:
            self.tell(about, error.message, "wrong")
        except Exception as error:  # the user's code may raise anything; the words say whose it was
            self.tell(about, f"{type(error).__name__}: {error}", "wrong")
        return None


def preflight(folder: Path, now: datetime | None = None) -> list[Finding]:
    """Look at a project before it runs.

    Returns
    -------
    Every finding, in the order of a cycle. What depends on something wrong is not tried.
    """
    bench = _Bench(folder.resolve(), now or datetime.now(UTC))
    settings = _settings(bench)
    model = _model(bench, settings)
    _contract(bench, settings)
    if settings is None or model is None:
        return bench.findings
    _server(bench, settings)
    _reference(bench, settings)
    observed = _gather(bench, settings, model)
    if observed is None:
        return bench.findings
    rows = _features(bench, settings, model, observed)
    labels = _labels(bench, settings, model, observed)
    if rows is not None and labels is not None:
        _train(bench, settings, model, rows, labels)
    return bench.findings


def _settings(bench: _Bench) -> Settings | None:
    from keepwell.origins import explain
    from keepwell.settings import look

    found, problems = look(bench.folder)
    for problem in problems:
        bench.tell("settings", problem.message, "wrong")
    if found is None:
        return None
    given = sum(1 for row in explain(found, bench.folder) if row["from"] != "default")
    bench.tell("settings", f"keepwell.toml reads; {given} settings are given, the others are defaults")
    return found


def _model(bench: _Bench, settings: Settings | None) -> Model | None:
    """The scientist's file, also when other settings are wrong."""
    from keepwell.training import Code

    where = settings.model if settings else _where(bench.folder)
    if where is None:
        return None

    def load() -> Model:
        import tempfile

        with tempfile.TemporaryDirectory() as cache:
            return Code.of(bench.folder).load(where, Path(cache))

    model: Model | None = bench.attempt("model", load)
    if model is None:
        return None
    bench.attempt("model", lambda: _judge(bench, settings, where, model))
    return model


def _where(folder: Path) -> ModelSection | None:
    import tomllib

    from pydantic import ValidationError

    from keepwell.settings import FILE, ModelSection

    try:
        return ModelSection(**tomllib.loads((folder / FILE).read_text("utf-8")).get("model", {}))
    except (OSError, ValueError, TypeError, ValidationError):
        return None


def _judge(bench: _Bench, settings: Settings | None, where: ModelSection, model: Model) -> None:
    from keepwell.evaluation import DECIDING, losses
    from keepwell.scaffold import NAME

    if not NAME.fullmatch(model.name):
        raise NameInvalid(model.name, where.file)
    if model.task not in DECIDING:
        problem = f"it must be one of {', '.join(DECIDING)}; of several classes, keep one binary model for each that matters"
        raise SettingInvalid("Model(task=...)", model.task, problem, where.file)
    if settings and settings.gate.metric:
        losses(settings.gate.metric, [0.0, 1.0], [0.5, 0.5])
    entity = f"one row per {model.entity} and {model.time}" if model.entity else f"one row per {model.time}"
    bench.tell("model", f"{where.file} gives '{model.name}': {model.task}, {entity}")


def _contract(bench: _Bench, settings: Settings | None) -> None:
    from keepwell.validation import from_toml

    path = bench.folder / (settings.contract.file if settings else "contract.toml")
    if not path.is_file():
        if settings:
            bench.tell("contract", f"{path.name} is not there yet; it is written from the first {settings.contract.first_rows} good rows")
        return
    contract = bench.attempt("contract", lambda: from_toml(path.read_text("utf-8")))
    if contract is not None:
        bench.tell("contract", f"{path.name} reads: {len(contract.columns)} columns")


def _server(bench: _Bench, settings: Settings) -> None:
    from keepwell.access import certificate_of

    serve = settings.serve
    try:
        has_certificate = certificate_of(serve, bench.folder) is not None
    except SettingInvalid as error:
        bench.tell("server", error.message, "wrong")
        return
    if not serve.is_local and not serve.token and not bench.attempt("server", lambda: _has_token(bench, settings)):
        problem = (
            "it listens beyond this machine, so a token is needed: `keepwell token create`, or KEEPWELL_SERVE__TOKEN in the environment"
        )
        bench.tell("server", SettingInvalid("serve.host", serve.host, problem, "keepwell.toml").message, "wrong")
    elif not serve.is_local and not has_certificate:
        message = f"it will listen on {serve.host}:{serve.port} without serve.certificate: a proxy before it must speak HTTPS"
        bench.tell("server", message, "note")
    else:
        bench.tell("server", f"it will listen on {serve.host}:{serve.port}")


def _reference(bench: _Bench, settings: Settings) -> None:
    days = settings.build.holdout_days
    if days < ALL_SEASONS:
        message = (
            f"a version is judged on its newest {days:g} days ([build] holdout_days), and what is usual is learned from them: "
            "where the data have seasons, one that these days do not hold may pass for a decline. 364 days hold one of each"
        )
        bench.tell("reference", message, "note")


def _has_token(bench: _Bench, settings: Settings) -> bool:
    """Is one of the record good? A record that is not there yet is not made for it."""
    from keepwell.access import list_tokens
    from keepwell.storage import Database

    url = settings.store.database
    if url.startswith("sqlite:///") and not (bench.folder / url.removeprefix("sqlite:///")).is_file():
        return False
    database = Database(url, bench.folder)
    try:
        with database.read() as connection:
            return any(token.state(bench.now) == "good" for token in list_tokens(connection))
    finally:
        database.close()


def _gather(bench: _Bench, settings: Settings, model: Model) -> pl.DataFrame | None:
    from keepwell.ingestion import ALL, fetch, key_of, open_source

    source = bench.attempt("source", lambda: (open_source(settings.source, bench.folder, settings.gather),))
    if source is None:
        return None
    spans = _spans(settings, model, bench.now)

    def ask() -> tuple[pl.DataFrame, Window]:
        for span in spans:
            frame = fetch(model, source[0], span)
            if frame.height:
                return frame, span
        tried = " and ".join(f"{span.since:%Y-%m-%d} to {span.until:%Y-%m-%d}" for span in spans)
        hint = "Set [gather] start to a day it has, or look at `gather`."
        raise SourceInvalid(f"of kind '{settings.source.kind}'", f"has no rows from {tried}", hint)

    found = bench.attempt("gather", ask)
    if found is None:
        return None
    frame: pl.DataFrame = found[0].unique(maintain_order=True)
    key = list(key_of(model.entity, model.time))
    first, last = (cast(datetime, moment) for moment in (frame[model.time].min(), frame[model.time].max()))
    bench.tell("gather", f"{frame.height:,} rows from {first:%Y-%m-%d} to {last:%Y-%m-%d}, {len(set(frame.columns) - {ALL})} columns")
    for name in key:
        if nulls := frame[name].null_count():
            bench.tell("keys", f"{nulls} rows have no '{name}'; a row needs one. Fill it in `gather`, or leave those rows out.", "wrong")
    twice = frame.height - frame.unique(key).height
    if twice:
        named = " and ".join(repr(name) for name in key if name == model.time or model.entity)
        problem = f"{twice} rows share their {named} with another row; the last one would count"
        bench.tell("keys", f"{problem}. Name the entity in Model(entity=...).", "wrong")
    return frame.drop_nulls(key).unique(key, keep="last", maintain_order=True).sort(model.time)


def _spans(settings: Settings, model: Model, now: datetime) -> list[Window]:
    """A season after the start, else the newest one."""
    from keepwell.ingestion import Window

    days = timedelta(days=FEW_DAYS + 2 * model.lookback_days + model.horizon_days)
    spans = [Window(now - days, now)]
    if settings.gather.start:
        start = datetime.fromisoformat(settings.gather.start)
        start = start if start.tzinfo else start.replace(tzinfo=UTC)
        spans.insert(0, Window(start, min(now, start + days)))
    return spans


def _features(bench: _Bench, settings: Settings, model: Model, observed: pl.DataFrame) -> pl.DataFrame | None:
    from keepwell.training import features_of, prove_no_lookahead

    rows: pl.DataFrame | None = bench.attempt("features", lambda: features_of(model, observed))
    if rows is None:
        return None
    if rows.is_empty():
        problem = f"none of {observed.height:,} observations became a row; `features` may drop too much (drop_nulls?)."
        bench.tell("features", problem, "wrong")
        return None
    names = ", ".join(rows.columns[2:])
    bench.tell("features", f"{rows.height:,} rows: {names if len(names) < 160 else f'{len(rows.columns) - 2} columns'}")
    by = settings.watch.slices
    if by not in (None, "entity", *rows.columns[2:]):
        problem = f'no feature has that name; it is one of {names}, or "entity"'
        bench.tell("features", SettingInvalid("watch.slices", by, problem, "keepwell.toml").message, "wrong")
    seed = settings.build.seed
    cuts = bench.attempt("look-ahead", lambda: prove_no_lookahead(model, observed, checks=settings.build.lookahead_checks, seed=seed))
    if cuts:
        bench.tell("look-ahead", f"none, and {model.lookback_days:g} days of look-back suffice; recomputed at {cuts} moments")
    elif cuts == 0:
        bench.tell("look-ahead", "too few rows to tell", "note")
    bench.attempt("entities", lambda: _entities(bench, settings, model, observed))
    if model.slices is not None:
        bench.attempt("slices", lambda: _slices(bench, model, rows))
    return rows


def _entities(bench: _Bench, settings: Settings, model: Model, observed: pl.DataFrame) -> None:
    """Rows of one entity in another's features."""
    from keepwell.training import mixed_entities

    if model.entity is None or observed[model.entity].n_unique() < 2:
        return
    found = mixed_entities(model, observed, seed=settings.build.seed)
    if found is None:
        bench.tell("entities", f"the features of one {model.entity} come from its own rows; made anew from those alone, they are the same")
        return
    each = f'`.over("{model.entity}")`' if model.frame == "polars" else f'`groupby("{model.entity}")`'
    names = ", ".join(found.features)
    if found.by_order:
        bench.tell(
            "entities",
            f"{names}: it matters in which order the rows of one {model.time} come. {_upper(found.example)}. "
            f"Rows of several {model.entity}s are mixed: a shift, difference or rolling value in `features` needs {each}.",
            "wrong",
        )
    else:
        bench.tell(
            "entities",
            f"{names}: rows of other {model.entity}s are used. {_upper(found.example)}. "
            f"If that is not meant, a shift, difference or rolling value in `features` lacks {each}.",
            "note",
        )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _slices(bench: _Bench, model: Model, rows: pl.DataFrame) -> None:
    from keepwell.errors import FunctionBroken
    from keepwell.ingestion import to_kind, to_polars

    assert model.slices is not None
    found = to_polars(model.slices(to_kind(rows, model.frame)), "slices")
    if found.height != rows.height:
        raise FunctionBroken("slices", f"returned {found.height} rows for {rows.height}", "One row for each row is needed.")
    bench.tell("slices", ", ".join(found.columns))


def _labels(bench: _Bench, settings: Settings, model: Model, observed: pl.DataFrame) -> pl.DataFrame | None:
    from keepwell.training import labels_of

    labels: pl.DataFrame | None = bench.attempt("labels", lambda: labels_of(model, observed))
    if labels is None:
        return None
    if labels.is_empty():
        bench.tell("labels", "`label` knows none in this window; they may come later, or be posted with `keepwell labels post`", "note")
        return labels
    mean = cast(float, labels["label"].mean())
    bench.tell("labels", f"{labels.height:,} known, {'share of 1' if model.task == 'binary' else 'mean'} {mean:.3g}")
    bench.attempt("horizon", lambda: _horizon(bench, settings, model, observed))
    return labels


def _horizon(bench: _Bench, settings: Settings, model: Model, observed: pl.DataFrame) -> None:
    """Labels that are told before they can be known."""
    from keepwell.training import early_labels

    found = early_labels(model, observed, seed=settings.build.seed)
    days = f"horizon_days={model.horizon_days:g}"
    if found is None:
        bench.tell("horizon", f"no label is told before its {days} have passed, and none changes afterwards")
    elif found.moved:
        todo = "Let `label` leave a row out until its truth can no longer change, and raise horizon_days to that."
        bench.tell(
            "horizon", f"a label changes when later rows come: {found.moved}; it was promised to be known by {days}. {todo}", "wrong"
        )
    else:
        told = f"{found.rows} of {found.asked} rows younger than {days} have a label, such as {found.example}"
        todo = "If the truth is known so soon, a smaller horizon_days judges the model sooner; else leave those rows out in `label`"
        bench.tell("horizon", f"{told}. {todo}.", "note")


def _train(bench: _Bench, settings: Settings, model: Model, features: pl.DataFrame, labels: pl.DataFrame) -> None:
    from keepwell.training import answers, fit, inputs_and_labels, load_model, save_model, training_set

    rows = training_set(model, features, labels)
    if rows.height < ENOUGH_ROWS or rows["label"].n_unique() < 2:
        why = f"{rows.height} rows have both features and a label" if rows.height < ENOUGH_ROWS else "every label is the same here"
        bench.tell("train", f"not tried: {why}", "note")
        return
    estimator = bench.attempt("train", lambda: (fit(model, rows, settings=settings.train, seed=settings.build.seed),))
    if estimator is None:
        return
    X, _ = inputs_and_labels(rows)
    given = bench.attempt("train", lambda: answers(estimator[0], X, model.task, frame=model.frame))
    if given is None:
        return
    bench.tell("train", f"{type(estimator[0]).__name__} learns from {rows.height:,} rows and answers")
    file = bench.attempt("model file", lambda: save_model(estimator[0], settings.trust))
    if file is None:
        return
    loaded = bench.attempt("model file", lambda: (load_model(file.format, file.data, settings.trust),))
    if loaded is not None:
        again = answers(loaded[0], X, model.task, frame=model.frame)
        same = bool((again == given).all())
        told = f"{file.format}, {len(file.data) / 1000:,.0f} kB; loaded again it answers {'the same' if same else 'differently'}"
        bench.tell("model file", told, "ok" if same else "wrong")
