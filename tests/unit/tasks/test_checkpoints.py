import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.data.roles import Role
from sdrm_core.errors import GateFailed
from sdrm_core.privacy.verdicts import GateVerdict
from sdrm_core.quality.curves import Curves
from sdrm_core.quality.fidelity import FidelityReport, measure_fidelity
from sdrm_core.quality.utility import UtilityReport
from sdrm_core.records import Counts
from sdrm_core.storage import write_user_items
from tasks.gates.checkpoints import _synthetic_users, likeness, refused_for_privacy, release_facts
from tasks.records import Run, Samples, UserItemMatrix
from tests.conftest import small_night
from tests.unit.tasks.privacy_reports import privacy_report_of

FACTS_OF_FIDELITY = ("popularity_spearman", "catalogue_coverage", "activity_ks", "density_ratio")


def fidelity_report(figures, *, published):
    """Return a report with these figures, name → synthetic, and this density of what is published."""

    def figure(synthetic):
        others = {"holdout": 0.2, "popularity_sampler": 0.3}
        return {"goal": "match", "meaning": "", "ideal": 1.0, "synthetic": synthetic} | others

    return FidelityReport.model_validate(
        {
            "figures": {name: figure(synthetic) for name, synthetic in figures.items()},
            "published": {"density_ratio": figure(published)},
            "curves": dict.fromkeys(Curves.model_fields, ()),
            "train_users": 1,
            "synthetic_users": 1,
            "holdout_users": 1,
        }
    )


def utility_report(judges):
    about = {"verdict": "MEASURED", "reason": "", "evaluation_users": 40, "folds": 2, "bootstrap_draws": 100}
    return UtilityReport.model_validate(about | {"judges": judges})


def achieved(ratio):
    """Return one ranking metric of an arm, of this ratio to the real one."""
    known, unknown = ({"value": value, "low": value, "high": value} for value in (ratio, None))
    return {"mean": unknown, "ratio": known, "difference": unknown, "verdict": "no difference"}


def privacy_report(verdicts):
    return privacy_report_of(*(GateVerdict(gate=gate, verdict=each, sentence="") for gate, each in verdicts.items()))


def test_density_is_that_of_what_may_be_published():
    rng = np.random.default_rng(0)
    most_active, others = np.ones((1, 40)), rng.random((60, 40)) < 0.2
    users = csr_matrix(np.vstack([others, most_active]).astype(np.float32))
    facts = likeness(measure_fidelity(users[:60], train=users, holdout=users[:0], k_anonymity=2, seed=0))
    cut = np.append(np.diff(users[:60].indptr), np.diff(users[:60].indptr).max())
    assert facts == {
        "density_ratio": pytest.approx(np.diff(users[:60].indptr).mean() / cut.mean()),
        "activity_ks": pytest.approx(1 / 61, abs=0.005),
    }


def test_a_release_is_judged_by_what_its_own_users_achieve():
    def arm(*, at_10, at_50):
        return {"recall@10": achieved(at_10), "recall@50": achieved(at_50)}

    judges = {
        "ease": {"synthetic": arm(at_10=0.5, at_50=0.51)},
        "svd": {"synthetic": arm(at_10=0.6, at_50=0.61), "popularity_sampler": arm(at_10=0.7, at_50=0.71)},
    }
    figures = {name: place + 0.1 for place, name in enumerate(FACTS_OF_FIDELITY)}
    assert release_facts(
        fidelity=fidelity_report(figures, published=0.99),
        utility=utility_report(judges),
        privacy=privacy_report({"membership": "PASS", "completion": "FAIL"}),
    ) == {
        "popularity_spearman": 0.1,
        "coverage": 1.1,
        "activity_ks": 2.1,
        "density_ratio": 0.99,
        "svd_recall_ratio": 0.6,
        "privacy_membership": "PASS",
        "privacy_completion": "FAIL",
    }


@pytest.mark.parametrize(
    "judges",
    [
        {},
        {"svd": {}},
        {"svd": {"synthetic": {}}},
        {"svd": {"synthetic": {"recall@10": achieved(None) | {"ratio": None}}}},
        {"svd": {"synthetic": {"recall@10": achieved(None)}}},
    ],
)
def test_what_was_not_measured_is_no_fact(judges):
    facts = release_facts(
        fidelity=fidelity_report(dict.fromkeys(FACTS_OF_FIDELITY), published=None),
        utility=utility_report(judges),
        privacy=privacy_report({}),
    )
    assert set(facts.values()) == {None}


def test_a_refusal_that_was_restored_from_its_text_does_not_tell_what_was_in_the_way():
    assert not refused_for_privacy(GateFailed("Gate release failed: 1 of 20 expectations are not met."))


def test_items_that_enough_training_users_have_are_asked_of_every_shard(tmp_path):
    train, holdout = [[1, 1, 0]] * 3 + [[1, 0, 0]] * 2, [[0, 1, 1]] * 9
    user_items = csr_matrix(np.array(train + holdout, np.float32))
    roles = np.array([Role.TRAIN] * 5 + [Role.HOLDOUT] * 9, np.int8)
    counts = Counts.of(users=14, items=3, interactions=user_items.nnz)
    stored = write_user_items(tmp_path / "matrix.npz", user_items, roles=roles)
    matrix = UserItemMatrix(
        user_items=stored,
        items=stored,
        counts=counts,
        users_by_role={"train": 5, "validation": 0, "holdout": 9, "evaluation": 0},
        has_secret_roles=False,
    )
    shards = [np.array([[1, 0, 0], [1, 1, 0]], np.float32), np.array([[0, 1, 1]], np.float32)]
    samples = Samples(
        attempt=0,
        model="",
        shards=tuple(write_user_items(tmp_path / f"{n}.npz", csr_matrix(shard)) for n, shard in enumerate(shards)),
        counts=counts,
    )
    for k_anonymity, unpublishable in ((3, [0, 0, 1]), (4, [0, 1, 2])):
        config = small_night(tmp_path, privacy={"k_anonymity": k_anonymity})
        frame = _synthetic_users(Run(config=config, directory=tmp_path, digest=""), matrix, samples)
        assert frame["user"].tolist() == [0, 1, 2]
        assert frame["unpublishable_items"].tolist() == unpublishable
