"""Spago computes what the reference computed."""

import pytest

from golden import ADAPTERS, Case, check, load_adapters, read_cases

AWAITED = {"operator": "the functions of attention"}
"""Kinds some of whose cases have no adapter yet, and what is awaited. A case of any other kind without one fails."""

load_adapters()
CASES = read_cases()
HERE = [case for case in CASES if (case.kind, case.name) in ADAPTERS or case.kind not in AWAITED]


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    check(case)


def test_what_is_awaited_is_not_there_yet() -> None:
    missing = {case.kind for case in CASES if (case.kind, case.name) not in ADAPTERS}

    assert AWAITED.keys() <= missing, f"no longer awaited: {sorted(AWAITED.keys() - missing)}"
