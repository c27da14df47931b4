"""The model card: what a version is for, what it was made of, how good it is and where that ends.

Markdown for people, with the YAML head that the Hugging Face hub and its tools read (``model-index`` results).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from keepwell.evaluation.yaml_head import yaml_head

PIPELINE = {"binary": "tabular-classification", "regression": "tabular-regression"}
# Names the hub knows its metrics by; others are shown under our own.
HUB_METRICS = {"brier": "brier_score", "calibration_error": "expected_calibration_error", "mae": "mae", "rmse": "rmse"}
SAID = {
    "brier": "Brier score",
    "log_loss": "Log loss (answers clipped to 0.01 and 0.99)",
    "roc_auc": "ROC AUC",
    "calibration_error": "Expected calibration error",
    "calibration_slope": "Calibration slope (1 is perfect)",
    "calibration_intercept": "Calibration intercept (0 is perfect)",
    "base_rate": "Share of label 1",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
}


def model_card(facts: Mapping[str, Any]) -> str:
    """Write the card of one version.

    Parameters
    ----------
    facts : what is known; only ``name`` and ``task`` must be there, everything else is left out or said to be unknown.
        ``version``, ``created``, ``owner``, ``license``, ``library``, ``digest``: plain values.
        ``text``: what the scientist says it is for (`Model.card`). ``limits``: list of sentences.
        ``data``, ``training``, ``lineage``, ``environment``: name -> plain value.
        ``evaluation``: name -> plain value, on which rows (``since``, ``until``, ``rows``...).
        ``metrics``: name -> `Metric`; ``slices``: list of `SliceScore`; ``baselines``: name -> (name -> `Metric`);
        ``gate``: `GateDecision`. Records may also come as dicts.

    Returns
    -------
    Markdown with a YAML head.

    References
    ----------
    Mitchell et al. (2019), Model Cards for Model Reporting. https://github.com/huggingface/hub-docs/blob/main/modelcard.md
    """
    version = facts.get("version")
    title = str(facts["name"]) + (f", version {version}" if version is not None else "")
    details = {name: facts.get(name) for name in ("task", "version", "created", "owner", "license", "library", "digest")}
    sections = [
        ("Model details", _table(details)),
        ("Intended use", str(facts.get("text") or "").strip() or "The model's author has not said what it is for (`Model(card=...)`)."),
        ("Data", _table(facts.get("data"))),
        ("Training", _table(facts.get("training"))),
        ("Evaluation", _evaluation(facts)),
        ("Baselines", _baselines(facts.get("baselines") or {})),
        ("Gate decision", _gate(facts.get("gate"))),
        ("Limits", _limits(facts)),
        ("Lineage", _table(facts.get("lineage"))),
        ("Environment", _table(facts.get("environment"))),
    ]
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections)
    return f"---\n{yaml_head(_head(facts))}---\n\n# {_cell(title)}\n\n{body}\n"


def _head(facts: Mapping[str, Any]) -> dict[str, Any]:
    pipeline = PIPELINE.get(str(facts["task"]), "tabular-regression")
    evaluation = facts.get("evaluation") or {}
    metrics = [metric for metric in _metrics(facts.get("metrics")) if metric["value"] is not None]
    head: dict[str, Any] = {"license": facts.get("license"), "library_name": facts.get("library"), "pipeline_tag": pipeline}
    head = {name: value for name, value in head.items() if value is not None}
    head["tags"] = ["keepwell", pipeline]
    if not metrics:  # a model-index without results is refused by the hub
        return head
    head["metrics"] = [_hub(metric) for metric in metrics]
    period = [str(evaluation[name]) for name in ("since", "until") if evaluation.get(name) is not None]
    name = " ".join([f"{facts['name']} labelled rows", " to ".join(period)]).strip()
    dataset = {"type": "keepwell", "name": name, "split": "holdout"}
    revision = (facts.get("lineage") or {}).get("training_set")
    if revision is not None:
        dataset["revision"] = str(revision)
    results = [{"type": _hub(m), "value": m["value"], "name": SAID.get(m["name"], m["name"])} for m in metrics]
    task = {"type": pipeline, "name": str(facts["task"])}
    head["model-index"] = [{"name": str(facts["name"]), "results": [{"task": task, "dataset": dataset, "metrics": results}]}]
    return head


def _hub(metric: Mapping[str, Any]) -> str:
    return HUB_METRICS.get(metric["name"], str(metric["name"]))


def _evaluation(facts: Mapping[str, Any]) -> str:
    parts = []
    if facts.get("evaluation"):
        parts.append(_table(facts["evaluation"]))
    metrics = _metrics(facts.get("metrics"))
    if not metrics:
        return "\n\n".join([*parts, "Not evaluated."])
    rows = [[SAID.get(m["name"], m["name"]), *_numbers(m)] for m in metrics]
    parts.append("On rows the version was not trained on; intervals cover 95% and allow for autocorrelation.")
    parts.append(_rows(["Metric", "Value", "Interval", "Rows"], rows))
    slices = [_plain(part) for part in facts.get("slices") or ()]
    if slices:
        shown = list(dict.fromkeys(m["name"] for part in slices for m in _metrics(part["metrics"])))[:3]
        lines = []
        for part in slices:
            found = {m["name"]: m for m in _metrics(part["metrics"])}
            values = [" ".join(_numbers(found[name])[:2]).strip() if name in found else "" for name in shown]
            lines.append([f"{part['column']} = {part['value']}", str(part["n"]), *values])
        parts.append("### By slice")
        parts.append(_rows(["Slice", "Rows", *(SAID.get(name, name) for name in shown)], lines))
    return "\n\n".join(parts)


def _baselines(baselines: Mapping[str, Any]) -> str:
    if not baselines:
        return "No baseline was scored."
    lines = [[name, SAID.get(m["name"], m["name"]), *_numbers(m)] for name, metrics in baselines.items() for m in _metrics(metrics)]
    return _rows(["Baseline", "Metric", "Value", "Interval", "Rows"], lines)


def _gate(gate: Any) -> str:
    if gate is None:
        return "The version has not been to the gate."
    gate = _plain(gate)
    lines = [[check["name"], "passed" if check["passed"] else "failed", check["sentence"]] for check in gate["checks"]]
    return f"**{'Passed' if gate['passed'] else 'Refused'}.** {_cell(gate['sentence'])}\n\n" + _rows(["Check", "Result", "Found"], lines)


def _limits(facts: Mapping[str, Any]) -> str:
    limits = [str(limit) for limit in facts.get("limits") or ()]
    limits += [f"{m['name']} could not be judged: {m['reason']}." for m in _metrics(facts.get("metrics")) if m["value"] is None]
    limits.append("The figures hold for rows like those above; how it does today is said by the check-up, not by this card.")
    return "\n".join(f"- {_cell(limit)}" for limit in limits)


def _metrics(metrics: Any) -> list[dict[str, Any]]:
    return [_plain(metric) for metric in (metrics or {}).values()]


def _plain(record: Any) -> dict[str, Any]:
    return asdict(record) if is_dataclass(record) and not isinstance(record, type) else dict(record)


def _numbers(metric: Mapping[str, Any]) -> list[str]:
    if metric["value"] is None:
        return ["unknown", metric.get("reason", ""), str(metric.get("n", ""))]
    low, high = metric.get("low"), metric.get("high")
    between = f"{low:.4g} to {high:.4g}" if low is not None and high is not None else ""
    return [f"{metric['value']:.4g}", between and f"({between})", str(metric.get("n", ""))]


def _table(facts: Mapping[str, Any] | None) -> str:
    known = {name: value for name, value in (facts or {}).items() if value is not None}
    return _rows(["", ""], [[name.replace("_", " "), str(value)] for name, value in known.items()]) if known else "Not recorded."


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: object) -> str:
    """Text that cannot break out of its line or table cell."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
