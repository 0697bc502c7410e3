"""The search for the randomness of the draw: of what leaks little, the most useful is taken."""

from dataclasses import dataclass
from math import inf

import pytest

from sdrm_core.config import PipelineConfig
from sdrm_core.model.search import Found, Search
from sdrm_core.model.temperature import DOUBTS, LADDER, LOW, Randomness
from sdrm_core.records import Leak

NONE, SOME = DOUBTS


@dataclass(frozen=True)
class Drawn:
    """A trained diffusion, model and synthetic users in one: it only notes how randomly users were drawn."""

    doubt: float = 0.0
    temperature: float = 0.0
    by_activity: bool = False
    activity: tuple[int, ...] = (1, 2, 3)

    def doubting(self, doubt):
        return Drawn(doubt)

    def drawing_at(self, temperature, *, by_activity):
        return Drawn(self.doubt, temperature, by_activity), ()

    def sample(self, start, stop, **settings):
        assert (start, stop) == (0, len(self.activity))
        return self


def searching(least, *, leak=None, usefulness=None, rises=False, given=None):
    """Return a search in which little, or ``leak[doubt]``, leaks from ``least[doubt]`` on, and what was judged useful.

    That nothing is measured twice is asserted.
    """
    config = PipelineConfig(dataset="x", source={"uri": "x"}, sampling={"temperature_by_activity": given})
    judged, measured = [], []

    def leak_of(users_of_each):
        (users, other) = users_of_each
        assert users == other
        assert users not in measured
        measured.append(users)
        share = (leak or {}).get(users.doubt, 0.0) if users.temperature >= least[users.doubt] else 9.0
        return Leak(share=share, bound=share, rises_with_activity=rises)

    def usefulness_of(users_of_each):
        judged.append(users_of_each[0])
        return (usefulness or {})[users_of_each[0].doubt]

    diffusion = Drawn()
    return Search([diffusion, diffusion], config, leak_of=leak_of, usefulness_of=usefulness_of), judged


@pytest.mark.parametrize("rises", [False, True])
@pytest.mark.parametrize(("useful", "taken"), [((1, 2), SOME), ((2, 1), NONE), ((1, 1), NONE)])
def test_of_several_doubts_the_more_useful_is_taken_each_at_its_lowest_temperature(useful, taken, rises):
    least = {NONE: 0.91, SOME: LOW[2]}
    search, judged = searching(least, usefulness=dict(zip(DOUBTS, useful, strict=True)), rises=rises)
    assert search.most_useful(DOUBTS) == Found(Randomness(least[taken], taken), by_activity=rises)
    assert judged == [Drawn(doubt, least[doubt], rises) for doubt in DOUBTS]


@pytest.mark.parametrize(("narrow", "taken"), [(SOME, NONE), (NONE, SOME)])
def test_what_leaves_room_for_chance_goes_before_what_would_only_just_pass_however_useful(narrow, taken):
    search, _ = searching({NONE: 0.83, SOME: 0.83}, leak={narrow: 0.99}, usefulness={narrow: 2, taken: 1})
    assert search.most_useful(DOUBTS).randomness.doubt == taken


@pytest.mark.parametrize(("least", "found"), [
    ({NONE: LADDER[0], SOME: LOW[0]}, Randomness(LADDER[0], NONE)),  # hardly anything to hide: doubt is not tried
    ({NONE: inf, SOME: 0.83}, None),  # too few people to hide: nor is doubt
    ({NONE: 0.83, SOME: inf}, Randomness(0.83, NONE)),
    ({NONE: inf, SOME: inf}, None),
])  # fmt: skip
def test_where_only_one_is_tolerated_its_usefulness_is_not_asked(least, found):
    search, judged = searching(least)
    assert search.most_useful(DOUBTS).randomness == found
    assert judged == []


@pytest.mark.parametrize(("rises", "given", "by_activity"), [
    (True, None, True), (False, None, False), (True, False, False), (False, True, True),
])  # fmt: skip
def test_temperatures_follow_the_number_of_items_where_that_leaks_more_or_it_is_given(rises, given, by_activity):
    search, _ = searching({NONE: 0.91}, rises=rises, given=given)
    assert search.most_useful([NONE]) == Found(Randomness(0.91, NONE), by_activity)
    nowhere, _ = searching({NONE: inf}, rises=rises, given=given)
    assert nowhere.most_useful([NONE]) == Found(None, by_activity)
