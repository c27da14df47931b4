"""Which act a request is, by its method and address. What each act needs stands in `access.ACTS`."""

from __future__ import annotations

import re

LOOK, MANAGE = "look", "manage"  # reading, and whatever else is not named below: a route that was forgotten is for an admin

ROUTES: tuple[tuple[str, str, str], ...] = (  # looked through in this order: what is asked most stands first
    # answers
    ("POST", "/models/{model}/predict", "ask"),
    ("POST", "/v2/models/{model}/infer", "ask"),
    ("POST", "/v2/models/{model}/versions/{version}/infer", "ask"),
    ("POST", "/invocations", "ask"),
    ("POST", "/endpoints/{model}/invocations", "ask"),
    ("POST", "/models/{model}/ledger", "ask"),
    ("POST", "/models/{model}/labels", "label"),
    # what a client must know before
    ("GET", "/openapi.json", "describe"),
    ("GET", "/version", "describe"),
    ("GET", "/v2", "describe"),
    ("GET", "/v2/models/{model}", "describe"),
    ("GET", "/v2/models/{model}/ready", "describe"),
    ("GET", "/v2/models/{model}/versions/{version}", "describe"),
    ("GET", "/v2/models/{model}/versions/{version}/ready", "describe"),
    ("POST", "/v2/repository/index", "describe"),
    # acts, and the pages that show first what they would change
    ("POST", "/models/{model}/incidents/{number}", "care"),
    ("POST", "/models/{model}/incidents/{number}/{act}", "care"),
    ("POST", "/models/{model}/versions/{version}/approve", "approve"),
    ("POST", "/models/{model}/versions/{version}/reject", "approve"),
    ("*", "/models/{model}/approve", "approve"),
    ("*", "/models/{model}/reject", "approve"),
    ("*", "/models/{model}/promote", "promote"),
    ("*", "/models/{model}/rollback", "rollback"),
    ("*", "/models/{model}/run", "run"),
    ("*", "/models/{model}/retrain", "retrain"),
    ("*", "/models/{model}/pause", "pause"),
    ("*", "/sources/{name}/decide", "quarantine"),
    ("POST", "/sign-out", LOOK),
)
NAMED = re.compile(r"/(?:v2/)?(?:models|endpoints|checkups)/([^/]+)")
_PATTERNS = [
    (method, re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"({\w+})", path))), act)
    for method, path, act in ROUTES
]


def act_of(method: str, path: str) -> str:
    """The act that a request is.

    Examples
    --------
    >>> act_of("POST", "/models/rain/predict"), act_of("GET", "/models/rain/promote"), act_of("GET", "/record"), act_of("PUT", "/x")
    ('ask', 'promote', 'look', 'manage')
    """
    reads = method in ("GET", "HEAD")
    for wanted, pattern, act in _PATTERNS:
        if (wanted in ("*", method) or (wanted == "GET" and reads)) and pattern.fullmatch(path):
            return act
    return LOOK if reads else MANAGE


def model_in(path: str) -> str | None:
    """The model that an address names.

    Examples
    --------
    >>> model_in("/models/rain/why"), model_in("/v2/models/rain"), model_in("/invocations")
    ('rain', 'rain', None)
    """
    found = NAMED.match(path)
    return found[1] if found else None
