"""Spago computes what the reference computed."""

import pytest

from golden import Case, check, load_adapters, read_cases

load_adapters()
CASES = read_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    check(case)
