"""What came of repeating a build, in facts and in one sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from keepwell.comparison import Difference
from keepwell.errors import KeepwellError


@dataclass(frozen=True)
class Repeated:
    """One step: `verdict` is identical, differs or nondeterministic; the digests name what it gave then and gives now."""

    name: str
    verdict: str
    recorded: str
    found: str


@dataclass(frozen=True)
class Reproduction:
    """A build that was repeated.

    `verdict` is identical, differs or nondeterministic; `step` the first that did not come out as recorded; `because` what
    differs there; `aside` what differs and changed nothing; `moved` how the project's folder and tables have moved on since;
    `change` the size of the difference in answers.
    """

    run: str
    version: int | None
    at: datetime
    here: bool
    verdict: str
    step: str | None
    sentence: str
    steps: tuple[Repeated, ...]
    because: tuple[Difference, ...]
    aside: tuple[Difference, ...]
    moved: tuple[Difference, ...]
    change: dict[str, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values; each difference with its sentence."""
        plain = asdict(self)
        for name in ("because", "aside", "moved"):
            plain[name] = [{**asdict(one), "sentence": one.sentence} for one in getattr(self, name)]
        return plain


def sentence_of(
    run: str,
    version: int | None,
    verdict: str,
    step: str | None,
    because: tuple[Difference, ...],
    packages: tuple[Difference, ...],
    change: dict[str, float] | None,
    error: KeepwellError | None,
) -> str:
    """The verdict in words, its causes first."""
    name = f"Version {version}" if version is not None else f"Run {run}"
    if verdict == "identical":
        aside = f", although {', '.join(one.sentence for one in packages[:3])}" if packages else ""
        return f"{name} is identical{aside}"
    size = f"; answers differ by up to {change['largest']:.3g}, {change['mean']:.3g} on average" if change and "largest" in change else ""
    if verdict == "nondeterministic":
        return f"{name}: step {step} is nondeterministic: two runs of the same identity differ{size}"
    if error is not None:
        size = f"; it ended with: {error.message}"
    why = "; ".join(one.sentence for one in because[:3]) or "nothing that the record holds differs, and it comes out the same twice here"
    return f"{name} differs first at step {step}: {why}{f' and {len(because) - 3} more' if len(because) > 3 else ''}{size}"
