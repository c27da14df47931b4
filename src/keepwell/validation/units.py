"""The catalogue of unit conversions that feeds make by mistake.

A conversion says how a value that was delivered in another unit comes home: ``home = scale * value + offset``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

# Per dimension: unit -> (scale, offset) into the dimension's first unit. Factors are the exact legal definitions, save
# inHg and mmHg (conventional, at 0 degrees C): BIPM, The International System of Units, 9th ed., and NIST SP 811 appendix B.
DIMENSIONS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "temperature": {"°C": (1.0, 0.0), "°F": (5 / 9, -160 / 9), "K": (1.0, -273.15)},
    "pressure": {
        "hPa": (1.0, 0.0),
        "Pa": (0.01, 0.0),
        "kPa": (10.0, 0.0),
        "inHg": (33.86389, 0.0),
        "mmHg": (1.333224, 0.0),
        "psi": (68.94757, 0.0),
    },
    "distance": {"km": (1.0, 0.0), "mile": (1.609344, 0.0), "nautical mile": (1.852, 0.0), "m": (0.001, 0.0), "ft": (0.0003048, 0.0)},
    "speed": {"m/s": (1.0, 0.0), "km/h": (1 / 3.6, 0.0), "knot": (1.852 / 3.6, 0.0), "mph": (0.44704, 0.0), "ft/s": (0.3048, 0.0)},
    "depth": {"mm": (1.0, 0.0), "inch": (25.4, 0.0), "cm": (10.0, 0.0)},
    "mass": {"kg": (1.0, 0.0), "lb": (0.45359237, 0.0), "g": (0.001, 0.0), "t": (1000.0, 0.0)},
    "volume": {"l": (1.0, 0.0), "gallon": (3.785411784, 0.0), "m3": (1000.0, 0.0)},
    "energy": {"kWh": (1.0, 0.0), "MJ": (1 / 3.6, 0.0), "Wh": (0.001, 0.0), "MWh": (1000.0, 0.0)},
    "duration": {"s": (1.0, 0.0), "min": (60.0, 0.0), "h": (3600.0, 0.0), "ms": (0.001, 0.0)},
    "share": {"%": (1.0, 0.0), "fraction": (100.0, 0.0)},
}
ALIASES = {
    **dict.fromkeys(("c", "degc", "deg c", "celsius", "degrees c", "degree_celsius"), "°C"),
    **dict.fromkeys(("f", "degf", "deg f", "fahrenheit", "degrees f", "degree_fahrenheit"), "°F"),
    **dict.fromkeys(("kelvin", "degk"), "K"),
    **dict.fromkeys(("mbar", "millibar", "mb"), "hPa"),
    **dict.fromkeys(("miles", "mi", "statute mile"), "mile"),
    **dict.fromkeys(("nmi", "nm", "nautical miles"), "nautical mile"),
    **dict.fromkeys(("knots", "kn", "kt", "kts"), "knot"),
    **dict.fromkeys(("kmh", "kph", "km/hour"), "km/h"),
    **dict.fromkeys(("ms-1", "m s-1", "mps"), "m/s"),
    **dict.fromkeys(("mi/h", "miles/h"), "mph"),
    **dict.fromkeys(("inches", "in"), "inch"),
    **dict.fromkeys(("feet", "foot"), "ft"),
    **dict.fromkeys(("metre", "meter", "metres", "meters"), "m"),
    **dict.fromkeys(("percent", "pct"), "%"),
}
BOLD = 3.0  # without a unit, smaller factors (mile and km, knot and m/s) would explain too many honest moves
DECIMALS = (10.0, 100.0, 1000.0, 0.1, 0.01, 0.001)


@dataclass(frozen=True)
class Conversion:
    """`home = scale * value + offset`; `story` says what happened, for a message."""

    story: str
    scale: float
    offset: float = 0.0

    @property
    def is_usual(self) -> bool:
        """Temperatures and slipped decimal points: believable also for a column whose unit nobody told."""
        return self.offset != 0 or self.story.startswith("multiplied")


def known(unit: str | None) -> tuple[str, str] | None:
    """The (dimension, unit) that a written unit means, or None when the catalogue does not have it.

    Examples
    --------
    >>> known("degF"), known("furlong")
    (('temperature', '°F'), None)
    """
    if unit is None:
        return None
    written = unit.strip()
    name = ALIASES.get(written.lower(), written)
    for dimension, table in DIMENSIONS.items():
        for canonical in table:
            if name == canonical or name.lower() == canonical.lower():
                return dimension, canonical
    return None


@cache
def conversions(unit: str | None) -> tuple[Conversion, ...]:
    """The mistakes to try for a column in `unit`; the bold ones of every dimension when the unit is not known.

    Examples
    --------
    >>> [c.story for c in conversions("°F")][:2]
    ['in °C instead of °F', 'in K instead of °F']
    """
    found = known(unit)
    pairs = [(found[0], found[1])] if found else [(d, u) for d, table in DIMENSIONS.items() for u in table]
    tried: dict[tuple[float, float], Conversion] = {}
    for dimension, home in pairs:
        home_scale, home_offset = DIMENSIONS[dimension][home]
        for other, (scale, offset) in DIMENSIONS[dimension].items():
            if other != home:
                back = (scale / home_scale, (offset - home_offset) / home_scale)
                if found or back[1] or not 1 / BOLD < back[0] < BOLD:
                    tried.setdefault(_rounded(back), Conversion(f"in {other} instead of {home}", *back))
    for factor in DECIMALS:
        back = (1 / factor, 0.0)
        tried.setdefault(_rounded(back), Conversion(f"multiplied by {factor:g}", *back))
    return tuple(tried.values())


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return float(f"{pair[0]:.6g}"), float(f"{pair[1]:.6g}")
