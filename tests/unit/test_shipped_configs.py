"""The run configurations and deployments that are shipped: they load, say only what differs, and do not drift."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from deployments.template import template
from sdrm_core.config import PipelineConfig, PrivacyGate
from sdrm_core.config.file import load_config
from sdrm_core.data.catalogue import CATALOGUE, resolve

FOLDER = Path(__file__).parents[2] / "deployments"
SMALL, LARGE = ("demo", "ml-100k", "alb"), ("ml-1m", "adm")
EXACT_GATES = {"hygiene", "k_anonymous_items", "dissimilarity"}


def settings(tree: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from settings(value, (*path, key))
        else:
            yield (*path, key), value


def at(tree: Any, path: tuple[str, ...]) -> Any:
    return at(tree[path[0]], path[1:]) if path else tree


def shipped(name: str) -> PipelineConfig:
    return load_config(FOLDER / f"{name}.yaml")


def test_every_file_is_known_here():
    names = {path.stem for path in FOLDER.glob("*.yaml")}
    assert names == {*SMALL, *LARGE, "template", "prefect"}


@pytest.mark.parametrize("name", SMALL + LARGE)
def test_a_configuration_says_only_what_differs_from_the_defaults(name: str):
    assert shipped(name).dataset == name
    defaults = PipelineConfig().model_dump(mode="json")
    tree = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    assert [path for path, value in settings(tree) if value == at(defaults, path)] == []


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m", "alb", "adm"])
def test_an_own_copy_of_a_named_data_set_is_read_as_the_download_is(name: str):
    source = shipped(name).source
    assert source.uri in CATALOGUE
    assert resolve(source) == source
    assert not source.download


@pytest.mark.parametrize("name", SMALL)
def test_small_sets_accept_what_cannot_be_told(name: str):
    privacy = shipped(name).privacy
    assert {*privacy.accept_inconclusive, *privacy.report_only} == set(get_args(PrivacyGate)) - EXACT_GATES


@pytest.mark.parametrize("name", LARGE)
def test_large_sets_accept_nothing(name: str):
    assert shipped(name).privacy.accept_inconclusive == ()


def test_every_gate_blocks_where_there_are_enough_people():
    assert PipelineConfig().privacy.report_only == ()
    assert shipped("ml-1m").privacy.report_only == ()
    assert shipped("adm").privacy.report_only == ()


def test_the_template_is_up_to_date():
    written = (FOLDER / "template.yaml").read_text(encoding="utf-8")
    assert written == template(), "run: python -m deployments.template > deployments/template.yaml"


def test_the_template_lists_every_setting_with_its_default():
    tree = yaml.safe_load(template())
    assert PipelineConfig.model_validate(tree) == PipelineConfig()
    assert dict(settings(tree)) == dict(settings(PipelineConfig().model_dump(mode="json")))


def test_the_nightly_deployment_runs_the_demo():
    project = yaml.safe_load((FOLDER / "prefect.yaml").read_text(encoding="utf-8"))
    (nightly,) = project["deployments"]
    assert PipelineConfig.model_validate(nightly["parameters"]["config"]) == shipped("demo")
