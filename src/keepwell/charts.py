"""Charts of a decline: the loss over time with its onset, where the rise comes from, and the blamed column before and after.

They are Altair charts: a notebook shows them, `page` puts them into one HTML file that needs nothing from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from keepwell.orchestration import Context
    from keepwell.rehearsal import Rehearsal
    from keepwell.why import Told, Why

WIDTH, HEIGHT = 640, 200
STEP = 28  # height of one bar that stands under another
ROOM = {"left": 34, "top": 5, "right": 5, "bottom": 5}  # a browser's letters are wider than the ones that the picture was measured with
CALM, HOT, BETTER = "#3b6ea5", "#c2410c", "#15803d"
INK, SOFT, LINE = "#1c1917", "#57534e", "#e7e5e4"
NARROW = 0.025  # share of the width below which a stripe has no room for a number
POINTS = 24  # of the loss
AROUND = timedelta(days=365)


def loss_points(context: Context, told: Told) -> tuple[list[dict[str, Any]], list[datetime]]:
    """The loss of the answers around a decline, as (time, loss, low, high, rows), and the moments at which the version changed."""
    from keepwell.evaluation import losses, mean_interval
    from keepwell.registry import CHAMPION, list_alias_changes
    from keepwell.serving import joined, representative

    began = told.explanation.began
    since, until = began.low - AROUND, (told.ended or told.told) + AROUND / 2
    with context.database.read() as connection:
        rows = joined(
            representative(context.predictions.rows(since=since, until=until, connection=connection)),
            context.labels.rows(since=since, connection=connection),
        )
        served = [change.since for change in list_alias_changes(connection, context.name, CHAMPION) if since <= change.since <= until]
    rows = rows.filter(pl.col("label").is_not_null()).sort("time")
    found = []
    for part in np.array_split(np.arange(rows.height), min(POINTS, max(rows.height // 20, 1))):
        some = rows[part]
        value, low, high = mean_interval(losses(context.metric, some["label"].to_numpy(), some["answer"].to_numpy()))
        found.append(
            {"time": some["time"][len(part) // 2].isoformat(), "loss": value, "low": max(low, 0.0), "high": high, "rows": some.height}
        )
    return found, served


def loss_chart(context: Context, told: Told) -> Any:
    """The loss of the answers over time with 95 % intervals, the interval of the onset as a band, and where versions changed."""
    import altair as alt

    began = told.explanation.began
    found, served = loss_points(context, told)
    time = alt.X("time:T", title=None, axis=alt.Axis(format="%b %Y", labelAngle=0))
    base = alt.Chart(alt.Data(values=found)).encode(x=time)
    band = (
        alt.Chart(alt.Data(values=[{"low": began.low.isoformat(), "high": began.high.isoformat()}]))
        .mark_rect(opacity=0.18, color=HOT)
        .encode(x="low:T", x2="high:T")
    )
    changed = alt.Data(values=[{"time": moment.isoformat()} for moment in served])
    versions = alt.Chart(changed).mark_rule(strokeDash=[3, 3], opacity=0.5).encode(x="time:T")
    interval = base.mark_area(opacity=0.2, color=CALM).encode(y=alt.Y("low:Q", title=context.metric), y2="high:Q")
    line = base.mark_line(color=CALM).encode(y="loss:Q")
    title = f"{context.metric}: shaded where the decline began ({began.level:.0%}), dashed where the version changed"
    return (band + versions + interval + line).properties(width=WIDTH, height=HEIGHT, title=title)


def accounting_chart(told: Told) -> Any:
    """A waterfall: the parts of the rise of the loss, and their sum. None without labels."""
    return rise_chart([{"name": part.name, "amount": part.amount} for part in told.explanation.parts], told.explanation.rise)


def rise_chart(parts: Sequence[Mapping[str, Any]], rise: float | None) -> Any:
    """A waterfall of parts (`name`, `amount` in the loss's unit) and their sum; None where no rise was measured."""
    import altair as alt

    if rise is None:
        return None
    steps, at = [], 0.0
    for part in parts:
        steps.append({"part": part["name"], "from": at, "to": at + part["amount"], "kind": "more" if part["amount"] > 0 else "less"})
        at += part["amount"]
    steps.append({"part": "rise of the loss", "from": 0.0, "to": rise, "kind": "sum"})
    colour = alt.Scale(domain=["more", "less", "sum"], range=[HOT, BETTER, CALM])
    return (
        alt.Chart(alt.Data(values=steps))
        .mark_bar()
        .encode(
            y=alt.Y("part:N", sort=None, title=None, axis=alt.Axis(labelLimit=190)),
            x=alt.X("from:Q", title="loss", axis=alt.Axis(tickCount=5)),
            x2="to:Q",
            color=alt.Color("kind:N", scale=colour, legend=None),
        )
        .properties(width=WIDTH, height=max(HEIGHT, STEP * len(steps)), title="Where the rise of the loss comes from", padding=ROOM)
    )


def performance_chart(
    points: Sequence[Mapping[str, Any]],
    metric: str,
    since: datetime | None,
    expected: float | None,
    declines: Sequence[Mapping[str, Any]] = (),
    served: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """Loss over time with its interval, what was expected, where a period begins, and where declines began.

    Parameters
    ----------
    points : dicts of `time`, `loss`, `low`, `high` (see `reporting.points`).
    since : beginning of the period; what lies before it is for comparison. None where there is nothing before it.
    expected : loss at evaluation, or None.
    declines : dicts of `low` and `high`, the interval of each onset.
    served : dicts of `version`, `since`, `until` and `expected` (or None): which version answered when, drawn as the background.
    """
    import altair as alt

    x = alt.X("time:T", title=None, axis=alt.Axis(format="%b %Y", labelAngle=0, labelOverlap=True, tickCount=8))
    base = alt.Chart(alt.Data(values=[dict(point) for point in points])).encode(x=x)
    layers = [
        base.mark_area(opacity=0.2, color=CALM).encode(y=alt.Y("low:Q", title=metric, scale=alt.Scale(zero=False)), y2="high:Q"),
        base.mark_line(color=CALM, point=True).encode(y="loss:Q"),
    ]
    if since is not None:
        layers.append(
            alt.Chart(alt.Data(values=[{"time": since.isoformat()}])).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x="time:T")
        )
    if expected is not None:
        layers.append(alt.Chart(alt.Data(values=[{"expected": expected}])).mark_rule(color=BETTER).encode(y="expected:Q"))
    began = [{"low": one["low"], "high": one["high"]} for one in declines if one["low"] >= points[0]["time"]]
    if began:
        layers.insert(0, alt.Chart(alt.Data(values=began)).mark_rect(opacity=0.25, color=HOT).encode(x="low:T", x2="high:T"))
    layers[:0] = _served(served)
    title = performance_caption(metric, has_period=since is not None, has_versions=bool(served), has_declines=bool(began))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=title)


def performance_caption(metric: str, *, has_period: bool = False, has_versions: bool = False, has_declines: bool = False) -> str:
    """What the chart of performance shows, in words."""
    words = [
        f"{metric}: with its 95 % interval; green what was expected",
        "dashed where the period begins" if has_period else "",
        "grey stripes and numbers the versions that answered" if has_versions else "",
        "shaded where a decline began" if has_declines else "",
    ]
    return ", ".join(word for word in words if word)


def _served(served: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Stripes, numbers and expected losses of the versions that answered; a number is left out where its stripe is too narrow."""
    import altair as alt

    if not served:
        return []
    ends = [datetime.fromisoformat(one[side]) for one in served for side in ("since", "until")]
    span = (max(ends) - min(ends)) / timedelta(seconds=1) or 1.0
    stripes, names, expected = [], [], []
    for place, one in enumerate(served):
        since, until = (datetime.fromisoformat(one[side]) for side in ("since", "until"))
        if place % 2 == 0:
            stripes.append({"since": one["since"], "until": one["until"]})
        if (until - since) / timedelta(seconds=1) > NARROW * span:
            names.append({"middle": (since + (until - since) / 2).isoformat(), "name": str(one["version"])})
        if one["expected"] is not None:
            expected.append({"since": one["since"], "until": one["until"], "expected": one["expected"]})
    x, x2 = alt.X("since:T"), alt.X2("until:T")
    found = [alt.Chart(alt.Data(values=stripes)).mark_rect(opacity=0.07, color=INK).encode(x=x, x2=x2)]
    if names:
        words = alt.Chart(alt.Data(values=names)).mark_text(baseline="top", fontSize=10, color=SOFT)
        found.append(words.encode(x="middle:T", y=alt.value(3), text="name:N"))
    if expected:
        found.append(alt.Chart(alt.Data(values=expected)).mark_rule(color=BETTER, strokeWidth=1.5).encode(x=x, x2=x2, y="expected:Q"))
    return found


def blamed_column(told: Told) -> str | None:
    """The column that the first cause blaming one blames."""
    return next((one.cause.column for one in told.ranked if one.cause is not None and one.cause.column), None)


def column_shares(context: Context, told: Told) -> list[dict[str, Any]]:
    """Shares of rows before and after the onset, by bin (`low`, `high`) or `value` of the blamed column; empty when none is blamed."""
    column = blamed_column(told)
    if column is None:
        return []
    began = told.explanation.began
    with context.database.read() as connection:
        rows = context.predictions.rows(since=began.low - AROUND / 2, until=told.told, connection=connection)
    if rows.is_empty() or column not in context.version(told.version).facts.get("signature", {}):
        return []
    values = rows.select("time", pl.col("inputs").str.json_path_match(f"$['{column}']").alias("value"))
    numbers = values["value"].cast(pl.Float64, strict=False)
    side = (values["time"] >= began.at).to_numpy()
    found = []
    if numbers.null_count() < 0.5 * len(numbers) or values["value"].null_count() > 0.5 * len(values):
        known = numbers.fill_null(float("nan")).to_numpy()
        edges = np.histogram_bin_edges(known[np.isfinite(known)], bins=30) if np.isfinite(known).any() else np.array([0.0, 1.0])
        for name, mask in (("before", ~side), ("after", side)):
            counts, _ = np.histogram(known[mask & np.isfinite(known)], bins=edges)
            for share, low, high in zip(counts / max(mask.sum(), 1), edges[:-1], edges[1:], strict=True):
                found.append({"when": name, "low": float(low), "high": float(high), "share": float(share)})
    else:
        texts = values["value"].fill_null("(missing)")
        top = texts.value_counts(sort=True)["value"].head(12).to_list()
        for name, mask in (("before", ~side), ("after", side)):
            mine = texts.filter(pl.Series(mask))
            found += [{"when": name, "value": value, "share": float((mine == value).mean() or 0.0)} for value in top]
    return found


def column_chart(context: Context, told: Told) -> Any:
    """The values of the blamed column before and after the onset, as shares of rows. None when no column is blamed."""
    import altair as alt

    found, column, began = column_shares(context, told), blamed_column(told), told.explanation.began
    if not found:
        return None
    if "low" in found[0]:
        x, x2 = alt.X("low:Q", title=column, bin="binned"), alt.X2("high:Q")
        marks = alt.Chart(alt.Data(values=found)).mark_bar(opacity=0.55).encode(x=x, x2=x2)
    else:
        marks = alt.Chart(alt.Data(values=found)).mark_bar().encode(x=alt.X("value:N", title=column), xOffset="when:N")
    colour = alt.Scale(domain=["before", "after"], range=[CALM, HOT])
    return marks.encode(
        y=alt.Y("share:Q", title="share of rows", stack=None, axis=alt.Axis(format="%")),
        color=alt.Color("when:N", scale=colour, sort=["before", "after"], title=None),
    ).properties(width=WIDTH, height=HEIGHT, title=f"{column} before and after {began.at:%-d %B %Y}")


def charts_of(context: Context, told: Told) -> list[Any]:
    """All charts that there is something for."""
    found = [loss_chart(context, told), accounting_chart(told), column_chart(context, told)]
    return [chart for chart in found if chart is not None]


def page(context: Context, found: Why) -> str:
    """One HTML file that needs nothing from outside: the sentence, charts as pictures, a table of causes for each decline."""
    parts = [HEAD.format(title=escape(f"{found.model}: since when, and why")), f"<h1>{escape(found.sentence)}</h1>"]
    for told in found.declines:
        parts.append(f"<h2>Version {told.version}, told on {told.told:%-d %B %Y}</h2><p>{escape(told.sentence)}.</p>")
        parts += [f"<figure>{svg(chart)}</figure>" for chart in charts_of(context, told)]
        rows = "".join(
            f"<tr><td>{escape(one.sentence)}</td><td>{'change on record' if one.change else 'found in the data'}</td>"
            f'<td class="n">{one.score:.2f}</td></tr>'
            for one in told.ranked
        )
        parts.append(f"<table><thead><tr><th>Cause</th><th>From</th><th>Score</th></tr></thead><tbody>{rows}</tbody></table>")
        if told.explanation.rise is not None:
            amounts = [(part.name, part.amount) for part in told.explanation.parts]
            lines = "".join(f'<tr><td>{escape(name)}</td><td class="n">{amount:+.4f}</td></tr>' for name, amount in amounts)
            total = f'<tr><th>rise of the loss</th><th class="n">{told.explanation.rise:+.4f}</th></tr>'
            spared = told.explanation.avoidable
            last = f'<tr><td>recalibration spares</td><td class="n">{spared:+.4f}</td></tr>' if spared is not None else ""
            parts.append(f"<table><tbody>{lines}{total}{last}</tbody></table>")
    if found.notes:
        items = "".join(f"<li>{moment:%-d %B %Y}: {escape(sentence)}</li>" for moment, sentence in found.notes)
        parts.append(f"<h2>Changes that cost nothing</h2><ul>{items}</ul>")
    return "\n".join([*parts, "</body></html>"])


def rehearsal_chart(found: Rehearsal) -> Any:
    """The rolling loss under each policy, and the target as a line."""
    import altair as alt

    points = [{"policy": one.policy, "time": day, "loss": loss} for one in found.outcomes for day, loss in one.rolling]
    years = (found.until - found.since).days // 365
    axis = alt.Axis(format="%Y", tickCount={"interval": "year", "step": max(years // 9, 1)}) if years > 5 else alt.Axis(format="%b %Y")
    axis.labelAngle = 0
    time = alt.X("time:T", title=None, axis=axis)
    loss = alt.Y("loss:Q", title=found.metric, scale=alt.Scale(zero=False))
    order = [one.policy for one in found.outcomes]
    lines = alt.Chart(alt.Data(values=points)).mark_line()
    lines = lines.encode(
        x=time, y=loss, color=alt.Color("policy:N", sort=order, title=None), strokeDash=alt.StrokeDash("policy:N", sort=order, legend=None)
    )
    title = f"{found.metric} over the last {found.window_days:g} days under each policy; lower is better"
    if found.target is not None:
        line = alt.Chart(alt.Data(values=[{"loss": found.target}])).mark_rule(strokeDash=[3, 3], color=HOT).encode(y="loss:Q")
        lines, title = lines + line, f"{title}, dashed the target"
    return lines.properties(width=WIDTH, height=HEIGHT, title=title)


def rehearsal_page(found: Rehearsal) -> str:
    """One HTML file that needs nothing from outside: the sentence, the chart, a table of policies."""
    head = HEAD.format(title=escape(f"{found.model}: policies on the same history"))
    names = ("Policy", found.metric, "Days below target", "Builds", "Promoted", "Alarms", "False alarms", "Seconds")
    rows = "".join(
        f'<tr><td>{escape(one.policy)}<br><small>{escape(one.what)}</small></td><td class="n">{one.score:.4f}</td>'
        + "".join(
            f'<td class="n">{value}</td>'
            for value in (f"{one.days_below} of {one.days}", one.builds, one.promotions, one.alarms, one.false_alarms, f"{one.seconds:.0f}")
        )
        + "</tr>"
        for one in found.outcomes
    )
    columns = "".join(f"<th>{escape(name)}</th>" for name in names)
    span = f"{found.since:%-d %B %Y} to {found.until:%-d %B %Y}, a cycle every {found.every_days:g} days."
    figure = f"<figure>{svg(rehearsal_chart(found))}</figure>"
    body = f"<h1>{escape(found.sentence)}</h1><p>{escape(span)}</p>{figure}"
    return "\n".join([head, body, f"<table><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>", "</body></html>"])


def svg(chart: Any) -> str:
    """A chart as an SVG picture."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(chart.configure(background="transparent").to_json())
    return drawn


HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1c1917; background: #fff; }}
h1 {{ font-size: 1.25rem; }} h2 {{ font-size: 1.05rem; margin-top: 2rem; }}
figure {{ margin: 1rem 0; }} svg {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; width: 100%; margin: 1rem 0; }}
th, td {{ text-align: left; padding: .3rem .5rem; border-bottom: 1px solid #e7e5e4; vertical-align: top; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
@media print {{ body {{ margin: 0; max-width: none; }} h2, figure {{ break-inside: avoid; }} }}
</style></head><body>"""
