"""Tokens and roles: what is kept of a secret, who may do what, how a limit and the audit count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise

import pytest

from keepwell.access import ACTS, CLIENT, ROLES, Audit, Bucket, Refusal, acts_of, checked_token, refuse_role
from keepwell.errors import InputInvalid, RoleRefused

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MADE = {"at": NOW, "by": "ada"}


def test_a_secret_is_not_kept_and_its_digest_is_not_shown() -> None:
    secret, token = checked_token("shop", None, None, ("rain",), **MADE)
    assert secret.startswith("kw_") and len(secret) >= 46
    assert token.digest == sha256(secret.encode()).hexdigest() and token.digest.startswith(token.id)
    assert secret not in repr(token) and token.digest not in repr(token) and "digest" not in token.as_dict(NOW)
    assert checked_token("shop", None, None, ("rain",), **MADE)[0] != secret


def test_a_service_is_a_client_and_a_person_is_what_the_settings_say() -> None:
    assert checked_token("shop", None, None, None, **MADE)[1].role == CLIENT
    assert checked_token("Mira", None, "maintainer", None, **MADE)[1].role == "maintainer"
    assert checked_token("Mira", "viewer", "maintainer", None, **MADE)[1].role == "viewer"


@pytest.mark.parametrize(
    ("owner", "role", "most", "more", "problem"),
    [
        ("Mira", "admin", "operator", {}, "Mira is operator in .people., so a token of theirs cannot be admin"),
        ("Mira", "client", "viewer", {}, "Mira is viewer in .people., so a token of theirs cannot be client"),
        ("Mira", "king", None, {}, "'king' is no role"),
        (" ", None, None, {}, "cannot own a token"),
        ("keepwell", None, None, {}, "cannot own a token"),
        ("a\nb", None, None, {}, "cannot own a token"),
        ("Mira", None, None, {"expires_at": NOW}, "expired already"),
        ("Mira", None, None, {"per_minute": 0}, "0 requests a minute"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(owner: str, role: str | None, most: str | None, more: dict, problem: str) -> None:
    with pytest.raises(InputInvalid, match=problem):
        checked_token(owner, role, most, None, **MADE, **more)


def test_a_token_ends_by_its_day_or_by_being_revoked() -> None:
    token = checked_token("shop", None, None, None, **MADE, expires_at=NOW + timedelta(days=1))[1]
    assert [token.state(NOW + timedelta(hours=hours)) for hours in (0, 23, 24)] == ["good", "good", "expired"]


def test_each_role_may_what_the_one_before_may_and_a_client_stands_beside() -> None:
    sets = [acts_of(role) for role in ROLES]
    assert all(low < high for low, high in pairwise(sets)) and sets[-1] == set(ACTS)
    assert acts_of(CLIENT) == {"describe", "ask", "label"}
    assert "ask" not in acts_of("viewer"), "an answer is kept, so a viewer would change the record"


def test_a_role_that_is_too_low_is_told_which_is_needed() -> None:
    with pytest.raises(RoleRefused, match="Mira may not promote a version: that needs the role maintainer, and Mira has viewer"):
        refuse_role("Mira", "viewer", "promote")


def test_a_bucket_lets_a_minutes_worth_through_and_then_keeps_the_pace() -> None:
    bucket = Bucket(120)
    assert [bucket.take(0.0) for _ in range(120)] == [0.0] * 120
    assert bucket.take(0.0) == pytest.approx(0.5)
    passed = sum(bucket.take(second / 10) == 0.0 for second in range(1, 601))
    assert passed == 120
    assert bucket.take(1e6) == 0.0


def test_refusals_that_go_on_are_told_ever_more_rarely() -> None:
    audit, refusal = Audit(), Refusal("token", "ask", "the token is not known")
    told = [(second, times) for second in range(24 * 3600) if (times := audit.due(refusal, float(second)))]
    assert [second for second, _ in told[:4]] == [0, 60, 180, 420]
    assert len(told) < 32, "a day of guessing, once a second"
    assert sum(times for _, times in told) == told[-1][0] + 1, "each line says how many it stands for"
    assert audit.due(Refusal("role", "promote", "", "Mira", "3f"), 24 * 3600.0) == 1
