"""Settings of how useful and how private a release is judged to be."""

from pydantic import Field, field_validator

from sdrm_core.config.names import JudgeName, PrivacyGate
from sdrm_core.config.section import Section, Share


class UtilityConfig(Section):
    """How usefulness is measured: recommenders (judges) are trained on synthetic users and tested on real ones."""

    judges: tuple[JudgeName, ...] = Field(
        ("popularity", "svd"), min_length=1, description="recommenders to train and test"
    )
    max_users: int = Field(
        10_000,
        ge=2,
        description="users of each role (validation, evaluation) to test with, at most; of more, a random choice",
    )
    fold_seeds: int = Field(5, ge=1, description="random splits of each user's items into input and hidden items")
    input_share: Share = Field(0.8, gt=0, lt=1, description="share of a user's items given as input")
    bootstrap_draws: int = Field(2000, ge=100, description="bootstrap resamples for each confidence interval")

    @field_validator("judges")
    @classmethod
    def _each_once(cls, judges: tuple[JudgeName, ...]) -> tuple[JudgeName, ...]:
        if len(set(judges)) < len(judges):
            raise ValueError("name each judge once")
        return judges


class PrivacyMarginsConfig(Section):
    """The leak that each privacy gate tolerates. PASS needs its one-sided 95 % upper bound to be no higher."""

    unique_copies: Share = Field(
        0.01, description="share of synthetic users with exactly the items of one person alone"
    )
    near_copies: Share = Field(
        0.025,
        description="share of synthetic users that are closer to a training user than people are to one another, "
        "or contain more of one than people do",
    )
    closer_to_train: float = Field(
        0.57,
        ge=0.5,
        le=1,
        description="share of synthetic users that are closer to training users than to held-out users",
    )
    membership_auc: float = Field(0.55, ge=0.5, le=1, description="AUC of the best membership inference attack")
    membership_tpr: Share = Field(0.05, description="true positive rate of that attack at a false positive rate of 1 %")
    rare_taste_auc: float = Field(
        0.62, ge=0.5, le=1, description="AUC of that attack among the tenth of people whose items are the rarest"
    )
    most_active_auc: float = Field(
        0.62, ge=0.5, le=1, description="AUC of the best attack among the tenth of people with the most items"
    )
    all_attacks_auc: float = Field(0.6, ge=0.5, le=1, description="AUC of all membership inference attacks combined")
    rare_pairs: float = Field(
        1.4, ge=1, description="odds ratio, training to held-out users, that a person's rarest pair of items is exposed"
    )
    completion: Share = Field(
        0.02, description="recall@20 of an attacker who guesses hidden items: training users minus held-out users"
    )


class PrivacyConfig(Section):
    """How the privacy gates judge a release."""

    k_anonymity: int = Field(
        5, ge=1, description="an item is published only if at least this many training users have it"
    )
    attempts: int = Field(
        2,
        ge=1,
        le=2,
        description="how often users are sampled, at most. The second time has a new seed, and more randomness if "
        "a privacy gate refused the first and sampling.temperature is null",
    )
    accept_inconclusive: tuple[PrivacyGate, ...] = Field(
        (), description="privacy gates whose INCONCLUSIVE does not block publishing; every release names them openly"
    )
    report_only: tuple[PrivacyGate, ...] = Field(
        (),
        description="privacy gates that are measured and shown but never block publishing: only for trying the "
        "pipeline on public data; every release names them openly",
    )
    max_pair_products: float = Field(
        5e10,
        gt=0,
        description="multiply-adds for an exact comparison, at most; beyond that random subsets of users are compared. "
        "The search for the temperature uses 2e10, at most",
    )
    margins: PrivacyMarginsConfig = PrivacyMarginsConfig()
    min_dissimilarity: Share = Field(0.5, description="mean Jaccard distance of synthetic from real users, at least")
