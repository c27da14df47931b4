"""Hostile requests made from the OpenAPI description: no fault of the server, and nothing that the description does not say.

`KEEPWELL_TEST_CASES=100` asks each route so many times; the default keeps the tests quick.
"""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepwell import Project

pytestmark = pytest.mark.sqlite("asks the description, not the stores")

schemathesis = pytest.importorskip("schemathesis")
CASES = int(os.environ.get("KEEPWELL_TEST_CASES", "10"))
MODES = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.fixture(scope="module")
def described(shared: tuple[Project, httpx.Client]) -> Any:
    return schemathesis.openapi.from_url(f"{str(shared[1].base_url).rstrip('/')}/openapi.json")


def test_no_request_makes_a_fault_or_breaks_the_description(described: Any) -> None:
    checks = [schemathesis.checks.CHECKS.get_one(name) for name in ("not_a_server_error", *CONTRACT)]
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 20
    for operation in operations:
        strategies = [operation.as_strategy(generation_mode=mode) for mode in MODES]

        @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=st.one_of(strategies))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=checks, timeout=30)

        ask()


CONTRACT = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
