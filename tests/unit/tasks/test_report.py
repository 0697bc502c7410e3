"""The reports say what was measured, in any case, and neither break nor reach out."""

import copy
import json
import re
import subprocess
from html import unescape
from html.parser import HTMLParser

import pandas as pd
import pytest

import tasks.release.manifest
from sdrm_core.privacy.verdicts import Histogram
from sdrm_core.records import Counts
from sdrm_core.storage import sha256_of, write_json
from tasks.release import plots
from tasks.release.report import (
    markdown_code,
    markdown_text,
    overall_verdict,
    render_card,
    render_operator_report,
    render_report,
)
from tasks.role_key import ROLES_OF_SEED, sealed
from tasks.wording import figure, interval, ratio
from tests.unit.tasks.example_release import counts, render_inputs, synthetic_users, training_curves

HOSTILE = "<script>alert('1')</script> \"&'`|*_[x](y) {{ 7 * 7 }} 🦊"
VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Collects a page's tags, attributes, ids and text, and whether what is opened is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.ids, self.words = [], [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module", autouse=True)
def _each_picture_is_drawn_once():
    """Remember the plots, which depend on nothing but what they are given: drawing takes most of a report's time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_popularity", "plot_activity", "plot_nearest", "plot_training"):
            patch.setattr(plots, name, remembered(getattr(plots, name)))
        yield


def remembered(plot):
    known = {}

    def plot_once(*args, **kwargs):
        asked = repr((args, kwargs))
        if asked not in known:
            known[asked] = plot(*args, **kwargs)
        return known[asked]

    return plot_once


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return render_inputs(tmp_path_factory.mktemp("run"))


@pytest.fixture
def inputs(example):
    """Return a copy to spoil, without the training curves: half the time of a report goes into plotting them."""
    return copy.deepcopy(example) | {"curves": {"vae": [], "diffusion": []}}


@pytest.fixture(scope="module")
def report(example):
    return render_report(**example)


def judge(inputs, *, report_only=(), **verdicts):
    """Give the named privacy gates these verdicts, and PASS to all others; what is not only reported is accepted."""
    public = inputs["manifest"]["privacy"]
    for name, gate in public["gates"].items():
        gate["verdict"] = verdicts.get(name, "PASS")
    inconclusive = [name for name, verdict in verdicts.items() if verdict == "INCONCLUSIVE"]
    public["accepted_inconclusive"] = [name for name in inconclusive if name not in report_only]
    public["report_only"] = list(report_only)


def descriptions(html):
    return [value for tag, name, value in Page(html).attributes if tag == "svg" and name == "aria-label"]


def operator_report(inputs, *, report_only=()):
    dataset = inputs["manifest"]["dataset"]
    return render_operator_report(inputs["privacy"], dataset=dataset, run="0" * 64, attempt=0, report_only=report_only)


def test_the_report_holds_every_figure_of_the_manifest(example, report):
    text = Page(report).text
    for row in example["manifest"]["fidelity"]["figures"].values():
        for column in ("synthetic", "holdout", "popularity_sampler"):
            assert figure(row[column]) in text
    for arms in example["manifest"]["utility"]["judges"].values():
        result = arms["synthetic"]["recall@10"]
        assert figure(result["mean"]["value"]) in text
        assert interval(result["ratio"], ratio) in text
        assert result["verdict"] in text
    for words in ("near_copies", "hygiene", "raw interactions", "1 min 15 s", "sampling.temperature", "5,000 rows"):
        assert words in text


def test_the_report_has_all_its_plots_with_their_descriptions(report):
    labels = descriptions(report)
    assert len(labels) == 6
    assert len(set(labels)) == 6
    assert report.count("<figcaption>") == 6


def test_the_pages_are_well_formed_and_ask_the_network_for_nothing(inputs, report):
    for html in (report, operator_report(inputs)):
        page = Page(html)
        assert not page.open
        assert len(page.ids) == len(set(page.ids))
        assert not {"script", "iframe", "object", "embed", "base", "form"} & set(page.tags)
        fetched = [value for _, name, value in page.attributes if name in {"src", "href", "srcset", "data", "action"}]
        assert all(value.startswith(("#", "data:")) for value in fetched)
        assert not re.findall(r"https?://|@import|url\((?!#)", html)
        assert len(html) < 1_500_000


def test_every_reference_within_the_page_has_its_target(report):
    page = Page(report)
    named = [value[1:] for _, name, value in page.attributes if name == "href" and value.startswith("#")]
    clipped = re.findall(r"url\(#([^)]+)\)", report)
    assert set(named + clipped) <= set(page.ids)


def test_an_inconclusive_gate_is_named_openly_everywhere(inputs):
    judge(inputs, near_copies="INCONCLUSIVE", membership="INCONCLUSIVE")
    html, card = render_report(**inputs), render_card(inputs["manifest"])
    for text in (html, card):
        assert "INCONCLUSIVE is not PASS" in text
        assert re.search("Openly accepted:.*near_copies.*membership", text)
    assert "2 privacy gates could not decide" in html
    assert "refused by gate" not in html + card


@pytest.mark.parametrize(
    ("report_only", "verdicts", "told"),
    [
        (
            ["membership", "completion"],
            {"near_copies": "INCONCLUSIVE", "membership": "INCONCLUSIVE", "completion": "INCONCLUSIVE"},
            "For trying on public data only: 2 privacy gates did not pass, and the configuration only reports them. "
            "1 more privacy gate could not decide, which the configuration openly accepts.",
        ),
        (
            ["membership"],
            {"membership": "FAIL"},
            "For trying on public data only: 1 privacy gate did not pass, and the configuration only reports it. <",
        ),
        (
            [],
            {"near_copies": "INCONCLUSIVE"},
            "No gate failed; 1 privacy gate could not decide, which the configuration openly accepts.",
        ),
        (["completion"], {"membership": "FAIL", "completion": "FAIL"}, "this release must not be published."),
        ([], {}, "Every gate passed."),
    ],
)
def test_the_headline_hides_no_gate_that_did_not_pass(inputs, report_only, verdicts, told):
    judge(inputs, report_only=report_only, **verdicts)
    assert told in " ".join(render_report(**inputs).split())


def test_an_expectation_that_only_warns_is_no_verdict(inputs):
    judge(inputs, report_only=["membership"], membership="FAIL")
    warning = {"rule": "membership is PASS", "why": "only reported", "success": False, "severity": "warning"}
    inputs["manifest"]["gates"]["release"]["results"] = [warning]
    html = render_report(**inputs)
    assert re.search(r'<tr><td><span class="badge">not met</span></td><td>membership is PASS</td>', html)
    assert "“Not met” is a warning and stops nothing" in html


def test_the_largest_number_of_items_of_a_real_person_is_not_published(example):
    figures = example["manifest"]["fidelity"]["figures"]
    assert "activity_sd" in figures
    assert "activity_max" not in figures


def test_what_is_published_is_rounded_so_that_two_nights_cannot_be_subtracted(example):
    fidelity = example["manifest"]["fidelity"]
    mean = fidelity["figures"]["activity_mean"]["ideal"]
    assert mean == float(f"{mean:.3g}")
    assert all(share == float(f"{share:.2g}") for share in fidelity["curves"]["popularity_real"])
    judged = example["manifest"]["utility"]["judges"]["svd"]
    recall = judged["real"]["recall@10"]["mean"]["value"]
    assert recall == float(f"{recall:.3g}")
    of_real = judged["synthetic"]["recall@10"]["ratio"]
    assert {key: round(value, 3) for key, value in of_real.items()} == of_real


def test_a_ratio_above_1_reads_so_wherever_it_is_told(tmp_path, monkeypatch):
    measured, estimate = tasks.release.manifest.read_json, {"value": 1.0404, "low": 1.0002, "high": 1.0810}

    def barely_better(artifact):
        report = measured(artifact)
        if "judges" in report:
            report["judges"]["svd"]["synthetic"]["recall@10"] |= {"ratio": estimate, "verdict": "better"}
        return report

    monkeypatch.setattr("tasks.release.manifest.read_json", barely_better)
    manifest = render_inputs(tmp_path)["manifest"]
    published = manifest["utility"]["judges"]["svd"]["synthetic"]["recall@10"]["ratio"]
    assert published == {"value": 1.04, "low": 1.0002, "high": 1.081}
    inputs = {"manifest": manifest, "curves": {}, "n_validation": 30, "privacy": {"histograms": {}, "n_holdout": 40}}
    for text in (render_report(**inputs), render_card(manifest)):
        assert "1.0002 to 1.081" in text
        assert "1.040" in text


def test_one_is_told_as_one(inputs):
    manifest = inputs["manifest"]
    manifest["utility"]["folds"] = manifest["model"]["item_pairs"] = 1
    inputs["curves"]["vae"] = [training_curves()["vae"][0] | {"of_epochs": 1}]
    text = Page(render_report(**inputs)).text
    for words in ("over 1 division of their items", "1 of at most 1 epoch.", "1 item pair with an offset"):
        assert words in text


def test_training_curves_show_no_more_digits_than_are_published(inputs):
    figures = [(3.14159, 1.00012), (2.71828, 1.00011), (2.66667, 1.00013)]
    exact = [
        {"stage": "vae", "epoch": epoch, "of_epochs": 9, "loss": loss, "validation": validation, "best": 1.00011}
        for epoch, (loss, validation) in enumerate(figures, start=1)
    ]
    rough = [one | {"loss": float(f"{one['loss']:.3g}")} for one in exact]
    page = render_report(**inputs | {"curves": {"vae": exact}})
    assert page == render_report(**inputs | {"curves": {"vae": rough}})
    assert "kept: epoch 2" in page, "which is known before the figures are rounded"


def test_what_a_handful_of_validation_users_told_is_not_published(inputs):
    inputs["curves"] = training_curves()
    for n_validation, is_told in ((30, True), (29, False)):
        page = render_report(**inputs | {"n_validation": n_validation})
        assert ("denoising loss of validation users" in page) == is_told
        assert ("kept: epoch" in page) == is_told
        assert page.count("training loss") == 2


def test_where_the_source_lies_is_not_published(tmp_path):
    manifest = render_inputs(tmp_path, uri="/data/of/alice/log.csv")["manifest"]
    assert manifest["source"]["uri"] == manifest["config"]["source"]["uri"] == "log.csv"


def test_the_digest_of_a_private_log_is_published_under_a_key_alone(tmp_path):
    secret, plain = b"0123456789abcdef", "b" * 64
    for uri, key, is_sealed in (("log.csv", secret, True), ("log.csv", None, False), ("movielens-1m", secret, False)):
        inputs = render_inputs(tmp_path, uri=uri, expected_sha256=plain, secret=key)
        inputs["curves"] = {}
        texts = (json.dumps(inputs["manifest"]), render_report(**inputs), render_card(inputs["manifest"]))
        assert [plain in text for text in texts] == [not is_sealed] * 3
        assert [sealed(plain, secret) in text for text in texts] == [is_sealed] * 3


def test_the_card_says_who_chose_the_temperature(inputs):
    judge(inputs)
    inputs["manifest"]["config"]["sampling"]["temperature"] = None
    for is_found, told in (
        (True, "chosen by how much leaks"),
        (False, "people are too few to hide, or to tell how much leaks"),
    ):
        inputs["manifest"]["model"]["temperature_is_found"] = is_found
        for refused in (False, True):
            inputs["manifest"]["gates_by_attempt"] = {"0-release": "FAIL" if refused else "PASS", "1-release": "PASS"}
            card = render_card(inputs["manifest"])
            assert told in card
            assert ("raised if a privacy gate refused the first sample" in card) == refused


@pytest.mark.parametrize("doubt", [0, 2])
def test_card_and_report_say_whether_what_few_people_taught_counts_less(inputs, doubt):
    judge(inputs)
    inputs["manifest"]["model"]["doubt"] = doubt
    assert ("learned of an item from few people counts less (doubt 2)" in render_card(inputs["manifest"])) == bool(
        doubt
    )
    assert ("doubt 2" in render_report(**inputs)) == bool(doubt)


def test_card_and_report_say_for_whom_the_temperature_is(inputs):
    judge(inputs)
    told = "in proportion to the user's number of items"
    for is_by_activity in (True, False):
        inputs["manifest"]["model"]["temperature_by_activity"] = is_by_activity
        assert (told in render_card(inputs["manifest"])) == is_by_activity
        assert (f"temperature 1.1 ({told})" in unescape(render_report(**inputs))) == is_by_activity


@pytest.mark.parametrize(
    ("n_pairs", "told"), [(1, "1 pair of items goes together"), (12, "12 pairs of items go together")]
)
def test_the_card_counts_the_pairs(inputs, n_pairs, told):
    inputs["manifest"]["model"]["item_pairs"] = n_pairs
    assert told in " ".join(render_card(inputs["manifest"]).split())


def test_a_stage_that_an_earlier_run_finished_says_so(inputs):
    judge(inputs)
    assert "finished by an earlier run" not in render_report(**inputs)
    inputs["manifest"]["stages"]["pretrain"]["cached"] = True
    assert render_report(**inputs).count("finished by an earlier run") == 1


def test_roles_that_the_seed_decided_are_told(inputs):
    judge(inputs)
    for roles, told in (("by a secret key", False), (ROLES_OF_SEED, True)):
        inputs["manifest"]["roles"] = roles
        assert ("Set `SDRM_ROLE_KEY`" in render_card(inputs["manifest"])) == told
        assert ("decided by the seed" in render_report(**inputs)) == told


def test_figures_of_a_handful_of_held_out_people_are_not_published(tmp_path):
    manifest = render_inputs(tmp_path, n_holdout=29)["manifest"]
    assert {row["holdout"] for row in manifest["fidelity"]["figures"].values()} == {None}
    assert "standard deviation" in render_card(manifest)


def test_the_picture_of_neighbours_leaves_a_handful_of_held_out_people_out(inputs):
    enough = render_report(**inputs)
    inputs["privacy"]["n_holdout"] = 29
    few = render_report(**inputs)
    for words in ("never seen, to training", "synthetic, to never seen"):
        assert words in enough
        assert words not in few
    assert "synthetic, to training" in few
    assert "The fewer than 30 held-out people are not shown either." in few


def test_the_picture_of_neighbours_is_told_in_words(inputs):
    narrow = {"edges": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "counts": [1, 5, 4, 2, 1, 2]}  # published: 6, 6 and too few
    inputs["privacy"]["histograms"] = {"synthetic_to_train": narrow, "holdout_to_train": narrow | {"counts": [1] * 6}}
    (told,) = [text for text in descriptions(render_report(**inputs)) if "nearest neighbour" in text]
    assert "synthetic, to training: most often 0.00 to 0.20, shown up to 0.40" in told
    assert "never seen" not in told


def test_what_few_people_have_more_of_than_may_be_published_cannot_be_worked_out(tmp_path, monkeypatch):
    measured = tasks.release.manifest.read_json

    def cut_by_one(artifact):
        report = measured(artifact)
        for name in report.get("published", {}):
            report["published"][name]["ideal"] = report["figures"][name]["ideal"] - 1
        return report

    whole = render_inputs(tmp_path / "whole")["manifest"]["fidelity"]
    monkeypatch.setattr("tasks.release.manifest.read_json", cut_by_one)
    cut = render_inputs(tmp_path / "cut")["manifest"]["fidelity"]
    assert set(cut) == {"figures", "curves", "train_users", "synthetic_users", "holdout_users"}
    assert "activity_max" not in cut["figures"]
    for name in ("activity_mean", "activity_sd", "density_ratio"):
        assert cut["figures"][name]["ideal"] == pytest.approx(whole["figures"][name]["ideal"] - 1, abs=0.01)


def test_how_many_real_people_there_are_is_told_in_three_digits(tmp_path, monkeypatch):
    measured = tasks.release.manifest.read_json
    exact = {"train_users": 12_344, "holdout_users": 1_763, "evaluation_users": 1_767}
    monkeypatch.setattr("tasks.release.manifest.read_json", lambda artifact: many(measured(artifact)))

    def many(report):
        return report | {name: number for name, number in exact.items() if name in report}

    source = Counts.of(users=17_634, items=8_584, interactions=1_234_567)
    inputs = render_inputs(tmp_path, rows=2_345_678, source=source)
    manifest = inputs["manifest"]
    assert manifest["source_counts"] == {"users": 17_600, "items": 8_580, "interactions": 1_230_000, "density": 0.00816}
    assert manifest["source"]["rows"] == 2_350_000
    assert [manifest["fidelity"][name] for name in ("train_users", "holdout_users")] == [12_300, 1_760]
    assert manifest["utility"]["evaluation_users"] == 1_770
    assert manifest["synthetic_counts"] == counts(synthetic_users()).model_dump()
    public = json.dumps(manifest) + render_report(**inputs) + render_card(manifest)
    for number in (source.users, source.items, source.interactions, 2_345_678, *exact.values()):
        assert not re.search(rf"\b({number}|{number:,})\b", public)


def test_what_a_recommender_achieves_for_a_handful_of_people_is_not_published(tmp_path):
    inputs = render_inputs(tmp_path, n_evaluation=29)
    assert inputs["manifest"]["utility"]["judges"] == {}
    for text in (render_report(**inputs), render_card(inputs["manifest"])):
        assert "figures of fewer than 30 users are not published" in text


def test_a_release_that_passed_on_its_second_attempt_says_just_that(inputs):
    judge(inputs)
    inputs["manifest"]["gates_by_attempt"] = {"0-synthetic": "PASS", "0-release": "FAIL", "1-release": "PASS"}
    html, card = render_report(**inputs), render_card(inputs["manifest"])
    assert "Every gate passed." in html
    assert "refused by gate release" in html
    assert "refused by gate `release`" in card
    assert "Openly accepted" not in html + card


@pytest.mark.parametrize(
    ("quality", "privacy", "worst"),
    [
        ("PASS", "PASS", "PASS"),
        ("PASS", "INCONCLUSIVE", "INCONCLUSIVE"),
        ("FAIL", "INCONCLUSIVE", "FAIL"),
        ("PASS", "FAIL", "FAIL"),
    ],
)
def test_the_headline_is_the_worst_verdict(quality, privacy, worst):
    gates, private = {"matrix": {"verdict": quality}}, {"gates": {"hygiene": {"verdict": privacy}}}
    assert overall_verdict({"gates": gates, "privacy": private}) == worst


def test_the_release_carries_no_privacy_figure_and_the_operator_every_one(inputs, example, report):
    inputs["curves"] = example["curves"]
    judged = next(gate for gate in inputs["privacy"]["gates"] if gate["figures"])
    judged |= {"holdout_needed": 4321, "baseline": {"real_users": 6161.6}}
    judged["figures"][0] |= {"effect": 7171.7, "p_value": 3131.3, "n": 987_654, "margin": 5151.5}
    operator = Page(operator_report(inputs)).text
    assert render_report(**inputs) == report, "the same bytes, whatever the operator's figures"
    public = report + render_card(inputs["manifest"])
    for shown in ("7,172", "3131.300", "987,654", "5,152", "4,321", "6,162"):
        assert shown in operator
        assert shown not in public


def test_the_operator_sees_the_level_of_each_figure_and_which_gates_only_report(inputs):
    judged = next(gate for gate in inputs["privacy"]["gates"] if gate["figures"])
    judged["figures"][0]["significance"] = 0.00625
    html = operator_report(inputs, report_only=[judged["gate"]])
    assert ">level<" in html
    assert ">0.00625<" in html
    assert html.count("only reported") == 1
    assert "only reported" not in operator_report(inputs)


def test_a_published_histogram_has_wide_bins_and_none_of_a_few_users():
    coarse = Histogram(edges=(0, 0.25, 0.5, 0.75, 1), counts=(3, 3, 0, 4)).coarse
    assert coarse == Histogram(edges=(0, 0.5, 1), counts=(6, 4))
    assert coarse.shares(min_users=5) == (0.6, 0)
    assert coarse.shares(min_users=0) == (0.6, 0.4)
    odd = Histogram(edges=(0, 0.5, 0.9, 1), counts=(9, 9, 5))
    assert odd.coarse == Histogram(edges=(0, 0.9, 1), counts=(18, 5))


def test_what_was_not_measured_is_a_gap(inputs):
    manifest = inputs["manifest"]
    for row in manifest["fidelity"]["figures"].values():
        row["holdout"] = None
    undefined = {"value": None, "low": None, "high": None}
    manifest["utility"]["judges"]["svd"]["synthetic"]["recall@10"]["ratio"] = undefined
    inputs["privacy"]["histograms"]["holdout_to_train"]["counts"] = [0] * 50
    html, card = render_report(**inputs), render_card(manifest)
    assert html.count('title="not measured"') >= len(manifest["fidelity"]["figures"])
    assert "None" not in Page(html).text + card


def test_a_whole_measure_that_is_missing_says_why(inputs):
    reason = "1 evaluation users have at least five positives"
    inputs["manifest"]["utility"] |= {"verdict": "INCONCLUSIVE", "reason": reason, "judges": {}}
    inputs["privacy"]["histograms"] = {}
    html = render_report(**inputs)
    assert reason in html
    assert reason in render_card(inputs["manifest"])
    assert "Nearest neighbour" not in html
    assert html.count("<figure>") == 2


def test_what_is_new_to_the_reports_does_not_break_them(inputs):
    manifest = inputs["manifest"]
    manifest["new"] = {"a": [1]}
    manifest["gates"]["brand_new"] = {"verdict": "PASS", "expectations": 1}
    manifest["privacy"]["gates"]["brand_new"] = {"verdict": "PASS", "sentence": "New."}
    manifest["config"]["brand_new"] = {"deep": {"down": None}}
    manifest["fidelity"]["figures"]["brand_new"] = manifest["fidelity"]["figures"]["activity_ks"]
    manifest["utility"]["judges"]["brand_new"] = manifest["utility"]["judges"]["svd"]
    inputs["curves"]["brand_new"] = [training_curves()["vae"][0] | {"stage": "brand-new"}]
    manifest["gates"]["matrix"]["results"] = [
        {"rule": "users is at least 100", "why": "too few to hide among", "success": True, "severity": "critical"}
    ]
    text = Page(render_report(**inputs)).text
    for words in ("brand_new.deep.down", "users is at least 100", "too few to hide among"):
        assert words in text
    assert "brand new" in render_card(manifest)


def test_hostile_text_stays_text_on_every_page(inputs):
    manifest, privacy = inputs["manifest"], inputs["privacy"]
    manifest |= {"dataset": HOSTILE, "code_version": HOSTILE}
    manifest["source"]["uri"] = manifest["config"]["source"]["uri"] = manifest["schema"]["item_id"] = HOSTILE
    manifest["gates"][HOSTILE] = {"verdict": "PASS", "expectations": 1}
    manifest["privacy"]["gates"]["hygiene"]["sentence"] = privacy["gates"][0]["sentence"] = HOSTILE
    inputs["curves"]["vae"] = [epoch | {"stage": HOSTILE} for epoch in training_curves()["vae"]]
    for html in (render_report(**inputs), operator_report(inputs)):
        page = Page(html)
        assert not page.open
        assert "script" not in page.tags
        assert HOSTILE in page.text


def test_hostile_text_cannot_leave_its_place_in_the_card(inputs):
    manifest = inputs["manifest"]
    headings = [line for line in render_card(manifest).splitlines() if line.startswith("#")]
    manifest["dataset"] = manifest["source"]["uri"] = HOSTILE + "\n# heading\n| a | b |"
    card = render_card(manifest)
    assert "\\<script\\>" in card.splitlines()[0]
    assert "\n| a" not in card
    assert [line for line in card.splitlines() if line.startswith("#")][1:] == headings[1:]


def test_the_card_tells_what_is_in_the_release(inputs):
    manifest = inputs["manifest"]
    card = render_card(manifest)
    synthetic, source = manifest["synthetic_counts"], manifest["source_counts"]
    assert f"| interactions | {synthetic['interactions']:,} | {source['interactions']:,} |" in card
    for words in (manifest["version"], manifest["digest"], "`user_id` | `int64`", "`item_id` | `string`", "sha256sum"):
        assert words in card
    assert re.search(r"no formal\s+\(differential privacy\) guarantee", card)


def test_the_cards_commands_work_in_a_release(inputs, tmp_path, monkeypatch):
    manifest, data = inputs["manifest"], tmp_path / "interactions" / "part-00000.parquet"
    data.parent.mkdir()
    pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"]}).to_parquet(data)
    manifest["files"][0]["sha256"] = sha256_of(data)
    write_json(tmp_path / "manifest.json", manifest)
    monkeypatch.chdir(tmp_path)
    card = render_card(manifest)
    for snippet in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        exec(snippet, {})
    (command,) = re.findall(r"```sh\n(.*?)```", card, re.DOTALL)
    assert subprocess.run(command, shell=True, check=False, capture_output=True).returncode == 0
    data.write_bytes(b"changed")
    assert subprocess.run(command, shell=True, check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "`plain`"),
        ("a`b", "``a`b``"),
        ("`a`", "`` `a` ``"),
        ("two\nlines", "`two lines`"),
        ("a|b", "`a\\|b`"),
        ("", "` `"),
    ],
)
def test_markdown_code(text, expected):
    assert markdown_code(text) == expected


def test_markdown_text():
    assert markdown_text("a*b <i>\nc") == "a\\*b \\<i\\> c"
