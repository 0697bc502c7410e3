"""Which of several judges a plot shows."""

from typing import get_args

import pytest

from sdrm_core.config import JudgeName
from tasks.compare.plots import _PREFERRED, _judge_shown


def test_every_judge_has_its_place_among_those_preferred():
    assert sorted(_PREFERRED) == sorted(get_args(JudgeName))


@pytest.mark.parametrize(
    ("judges", "shown"), [(("popularity", "svd"), "svd"), (("newer", "svd"), "svd"), (("newer", "newest"), "newer")]
)
def test_the_plot_shows_the_preferred_judge_or_else_the_first(judges, shown):
    assert _judge_shown(judges) == shown
