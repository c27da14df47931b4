"""Charts as pictures for pages: SVG that needs nothing from outside and follows the browser's light or dark."""

from __future__ import annotations

import re
from typing import Any

from keepwell.charts import BETTER, CALM, HOT, INK, LINE, SOFT

SMALL = 340  # width for a narrow screen, where a wide picture would shrink its words away
DARK = {INK: "#e7e5e4", SOFT: "#a8a29e", LINE: "#44403c", CALM: "#7db1e8", HOT: "#fb923c", BETTER: "#4ade80"}
FONT = "system-ui, sans-serif"


def picture(chart: Any, *, small: bool = False) -> bytes:
    """A chart as SVG, without its title: the page has it as a caption."""
    import altair as alt
    import vl_convert

    drawn = chart.copy(deep=False)
    drawn.title = alt.Undefined
    if small:
        drawn = drawn.properties(width=SMALL - 60, height=190)
    axis = {"labelColor": SOFT, "titleColor": SOFT, "gridColor": LINE, "domainColor": SOFT, "tickColor": SOFT, "titleFontWeight": "normal"}
    text: str = vl_convert.vegalite_to_svg(
        {
            **drawn.to_dict(),
            "config": {
                "background": "transparent",
                "font": FONT,
                "axis": {**axis, "labelFontSize": 11, "titleFontSize": 11},
                "legend": {"labelColor": SOFT, "titleColor": SOFT, "orient": "bottom" if small else "right"},
                "rule": {"color": SOFT},
                "view": {"stroke": "transparent"},
            },
        }
    )
    return _themed(text).encode()


def _themed(text: str) -> str:
    rules = "".join(f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items())
    style = f"<style>:root{{color-scheme:light dark}}@media (prefers-color-scheme:dark){{{rules}}}</style>"
    return re.sub(r"(<svg\b[^>]*>)", lambda found: found[1] + style, text, count=1)
