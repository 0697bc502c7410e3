"""What the command line may ask a comparison for, and how it says no."""

import pytest

from sdrm_core.errors import ConfigError
from tasks.compare.plan import ALL_ARMS, ALL_JUDGES, ArmChoice, parse_arms, parse_judges, parse_seeds


def test_arms_and_how_many_users_they_make():
    choices = parse_arms("popularity, sdrm_full,sdrm_full@10")
    assert choices == (
        ArmChoice(arm="popularity"),
        ArmChoice(arm="sdrm_full"),
        ArmChoice(arm="sdrm_full", times=10),
    )
    assert [choice.label for choice in choices] == ["popularity", "sdrm_full", "sdrm_full@10"]
    assert [choice.is_ours for choice in choices] == [False, True, True]


def test_every_arm_and_judge_has_a_name():
    assert [choice.arm for choice in parse_arms(",".join(ALL_ARMS))] == list(ALL_ARMS)
    assert parse_judges(",".join(ALL_JUDGES)) == ALL_JUDGES


def test_seeds_are_whole_numbers():
    assert parse_seeds("0,1, 20") == (0, 1, 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sdrmfull", "no arm 'sdrmfull'. Did you mean sdrm_full"),
        ("", "empty name"),
        ("popularity,,ctgan", "empty name"),
        ("popularity,popularity", "popularity is named twice"),
        ("sdrm_full@1,sdrm_full", "sdrm_full is named twice"),
        ("sdrm_full@0", "whole number from 1"),
        ("sdrm_full@", "whole number from 1"),
        ("sdrm_full@1.5", "whole number from 1"),
    ],
)
def test_bad_arms_are_refused_with_the_remedy(text, message):
    with pytest.raises(ConfigError, match=f"--arms: .*{message}"):
        parse_arms(text)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "a", "0,0", "0,,1"])
def test_bad_seeds_are_refused(text):
    with pytest.raises(ConfigError, match="--seeds: "):
        parse_seeds(text)


def test_a_bad_judge_is_refused():
    with pytest.raises(ConfigError, match=r"--judges: there is no judge 'eas'. Did you mean ease\?"):
        parse_judges("svd,eas")


def test_all_names_that_are_wrong_are_told_at_once():
    with pytest.raises(ConfigError, match=r"(?s)no arm 'foo'.*after the @.*no arm 'bar'"):
        parse_arms("foo,sdrm_full@0,bar")
    with pytest.raises(ConfigError, match=r"(?s)no judge 'foo'.*no judge 'bar'"):
        parse_judges("foo,svd,bar")
    with pytest.raises(ConfigError, match=r"(?s)'x' is not a whole.*'-1' is not a whole"):
        parse_seeds("x,0,-1")
