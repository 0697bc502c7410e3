"""All settings of the pipeline, each with its default, bounds and unit; they are defined only here.

``sdrm_core.config_file`` reads them from a file and from the command line.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Resolution = Literal["full", "multi"]
JudgeName = Literal["popularity", "svd", "ease", "ials", "mlp", "neumf"]
ArmName = Literal[
    "popularity", "vae_prior", "published", "sdrm_full", "sdrm_multi", "diffrec", "codigem", "ctgan", "tvae"
]
PrivacyGate = Literal[
    "hygiene",
    "k_anonymous_items",
    "unique_copies",
    "near_copies",
    "closer_to_train",
    "membership",
    "rare_pairs",
    "completion",
    "dissimilarity",
]


_MIN_LATENT_DIM = 20
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
DELIMITER_PATTERN = r"^[\t !#-~]$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
_PathOrText = TypeVar("_PathOrText", Path, str)
_ELSEWHERE = re.compile(r"://|^(//)?[^/]*:[^/]*@")
_URL_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a Path keeps only one of a URL's two slashes
CREDENTIALS_PATTERN = r"(?i:(?<![/\w])\w*(?:password|passwd|pwd)\s*=)"  # as keywords have them


def is_section(kind: object) -> bool:
    """Return whether the type of a setting is a group of settings."""
    return isinstance(kind, type) and issubclass(kind, Section)


def with_home(path: _PathOrText) -> _PathOrText:
    """Return the path; raise a ``ValueError`` if it has a zero byte, or starts with ``~`` without such a home."""
    if "\0" in str(path):
        raise ValueError("a path cannot contain a zero byte")
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{path} starts at a home directory that does not exist; if ~ is part of the name, write ./~…"
        ) from None
    return path


def local_directory(path: Path) -> Path:
    """Return the path; raise a ``ValueError`` if it is a URL, or for the reasons of ``with_home``."""
    if _URL_AS_PATH.match(str(path)):
        raise ValueError("must be a local directory, not a URL; copy the result there afterwards")
    return with_home(path)


def lies_within(path: Path, directory: Path) -> bool:
    """Return whether ``path`` is ``directory`` or inside it, after resolving symbolic links and ``~``."""
    inner, outer = (os.path.realpath(one.expanduser()) for one in (path, directory))
    return Path(inner).is_relative_to(outer)


class Section(BaseModel):
    """A frozen group of settings; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_section_sets_nothing(cls, given: Any) -> Any:
        """Treat a section that is empty (null) in the YAML file as one with default settings."""
        if not isinstance(given, Mapping):
            return given
        sections = {name for name, field in cls.model_fields.items() if is_section(field.annotation)}
        return {name: {} if value is None and name in sections else value for name, value in given.items()}

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_another_type(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``true`` and ``false`` for a setting of another type; pydantic would read them as 1 and 0."""
        asked_for = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in {asked_for, *get_args(asked_for)}:
            raise ValueError(f"{str(value).lower()} is a boolean, and this setting is not one")
        return value


class ColumnsConfig(Section):
    """Names of the columns of the source."""

    user: str = Field("user_id", description="column of the user id")
    item: str = Field("item_id", description="column of the item id")
    rating: str | None = Field("rating", description="column of the rating; null: there is none (implicit feedback)")
    timestamp: str | None = Field(None, description="column of the time stamp; null: there is none")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [name for name in (self.user, self.item, self.rating, self.timestamp) if name is not None]
        if len(set(names)) < len(names):
            raise ValueError(f"user, item, rating and timestamp must be different columns; they are set to {names}")
        return self


class SourceConfig(Section):
    """Where the interactions come from and how to read them."""

    uri: str = Field(
        "embedded",
        min_length=1,
        description="a file, a directory of Parquet files, 'embedded', or a named data set: "
        "movielens-100k, movielens-1m, amazon-luxury-beauty, amazon-digital-music",
    )
    format: Literal["auto", "csv", "tsv", "jsonl", "parquet"] = Field(
        "auto",
        description="file format; auto: from the ending of the file name (.gz may follow it, except for Parquet)",
    )
    header: tuple[str, ...] | None = Field(
        None, description="column names, in order, of a CSV or TSV file without a header line; null: the file has one"
    )
    delimiter: str | None = Field(
        None,
        pattern=DELIMITER_PATTERN,
        description="character between the fields, in quotes, e.g. '|' or \"\\t\"; null: a comma, or a tab for TSV",
    )
    columns: ColumnsConfig = ColumnsConfig()
    feedback: Literal["explicit", "implicit"] = Field(
        "explicit", description="explicit: each row is a rating; implicit: each row is a positive interaction"
    )
    positive_rating: float = Field(4.0, description="lowest rating that counts as positive (explicit only)")
    user_id_type: Literal["auto", "integer", "text"] = Field(
        "auto",
        description="type of user ids; auto: integer if every id is one and loses nothing as a number, else text",
    )
    item_id_type: Literal["auto", "integer", "text"] = Field("auto", description="type of item ids, as for users")
    download: bool = Field(False, description="whether a named data set may be downloaded from its official site")
    sha256: str | None = Field(
        None, pattern=SHA256_PATTERN, description="expected SHA-256 of the file, or of a named data set's download"
    )

    _has_home = field_validator("uri")(with_home)

    @property
    def name(self) -> str:
        """Return the last part of ``uri``, the only part that is published; for ``.``, the name of that directory."""
        path = Path(self.uri).expanduser()
        return (path.resolve() if path.name in {"", ".."} else path).name or self.uri

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.feedback == "explicit" and self.columns.rating is None:
            raise ValueError("explicit feedback needs columns.rating; name the column, or set feedback to implicit")
        if _ELSEWHERE.search(self.uri) or re.search(CREDENTIALS_PATTERN, self.uri):
            raise ValueError(
                "uri must be a local file, a directory or a named data set, without credentials, because settings are "
                "stored and displayed. Download remote data, or export it from a database, to a local file first "
                "(a file name with a colon and an @ needs a path: ./name)"
            )
        return self


class FilterConfig(Section):
    """The k-core filter removes users and items below these limits, repeatedly, until all that remain reach them."""

    min_user_positives: int = Field(5, ge=1, description="positive interactions that a user must have, at least")
    min_item_positives: int = Field(5, ge=1, description="positive interactions that an item must have, at least")


class RolesConfig(Section):
    """Share of users in each role. A keyed hash of the user id decides, so a user keeps the role in every run."""

    train: Share = Field(0.7, description="users the model is trained on and whose statistics it is fitted to")
    validation: Share = Field(
        0.1, description="users for early stopping, the temperature and the settings of the judges, nothing else"
    )
    holdout: Share = Field(0.1, description="users the model never sees, for comparison by the privacy gates")
    evaluation: Share = Field(0.1, description="users the model never sees, on whom recommenders are tested (utility)")
    key_block: str | None = Field(
        None,
        description="name of the Prefect Secret block with the hash key; null: the environment variable SDRM_ROLE_KEY",
    )

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """Return the shares in the order of ``sdrm_core.data.roles.Role``."""
        return self.train, self.validation, self.holdout, self.evaluation

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(
                f"train, validation, holdout and evaluation must add up to 1; they add up to {sum(self.shares):g}"
            )
        if min(self.shares) <= 0:
            raise ValueError("train, validation, holdout and evaluation must each be above 0")
        return self


class VaeConfig(Section):
    """The variational autoencoder that maps users to latent vectors and back."""

    hidden_units: int = Field(300, ge=1, description="units of the encoder's one hidden layer")
    decoder_units: int = Field(
        0, ge=0, description="units of the decoder's hidden layer; 0: none, the decoder is linear"
    )
    latent_dim: int | None = Field(
        None,
        ge=1,
        description="latent dimensions; null: a third of the square root of the number of training users, "
        f"at least {_MIN_LATENT_DIM}",
    )
    dropout: Share = Field(0.5, lt=1, description="share of a user's items hidden from the encoder during training")
    beta: float = Field(0.1, ge=0, description="final weight of the KL term")
    anneal_epochs: int = Field(20, ge=0, description="epochs over which beta grows from 0")
    item_precision: float = Field(
        2.0, ge=0, description="precision of the Gaussian prior on the decoder's item vectors; 0: none"
    )
    learning_rate: float = Field(2e-3, gt=0, description="Adam's step size")
    batch_users: int = Field(256, ge=1, description="users per gradient step")
    epoch_steps: int = Field(
        100,
        ge=1,
        description="gradient steps per epoch, or one pass over the training users if that is shorter; each epoch ends "
        "with an evaluation on the validation users",
    )
    max_epochs: int = Field(200, ge=1, description="epochs, at most")
    patience_epochs: int = Field(
        15, ge=1, description="epochs without a better validation result after which training stops"
    )

    def sized_for(self, n_train_users: int) -> Self:
        """Return these settings with a number for ``latent_dim``.

        The more training users, the more dimensions the latent space can use without memorising single users. On small
        data sets twenty dimensions leak no more than fewer do, because the prior on the item vectors regularises them.
        """
        dimensions = self.latent_dim or max(_MIN_LATENT_DIM, round(math.sqrt(n_train_users) / 3))
        return self.model_copy(update={"latent_dim": dimensions})


class DiffusionConfig(Section):
    """The score-based diffusion model of the latent vectors (their coordinates: ``sdrm_core.model.schedule``)."""

    hidden_units: int = Field(64, ge=1, description="width of the residual denoiser")
    depth: int = Field(1, ge=1, description="residual blocks of the denoiser")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's peak step size")
    batch_users: int = Field(256, ge=1, description="latent vectors per gradient step")
    epoch_steps: int = Field(50, ge=1, description="gradient steps per epoch, which ends with the validation loss")
    max_epochs: int = Field(5, ge=1, description="epochs, at most")
    patience_epochs: int = Field(
        3, ge=1, description="epochs without a lower validation loss after which training stops"
    )
    ema_decay: Share = Field(0.999, lt=1, description="decay of the moving average of the weights that sampling uses")
    reverse_steps: int = Field(10, ge=2, description="steps of the reverse diffusion at full resolution")


class SamplingConfig(Section):
    """How many synthetic users are drawn, and how."""

    users: int | None = Field(None, ge=1, description="number of synthetic users; null: as many as training users")
    resolution: Resolution = Field(
        "full",
        description="full: every user goes through all steps of the reverse diffusion; multi: each user goes through a "
        "random number of them, and the remaining noise stays",
    )
    temperature: float | None = Field(
        None,
        ge=0.05,
        le=5,
        description="randomness of the draw of items. 1: as the model predicts; lower: a user's own preferences count "
        "more, which is more useful and less private; null: chosen automatically, the lowest at which privacy gates "
        "see little leakage, with validation users in place of the holdout. If these are few, some training users join "
        "them, and models that are trained without those are judged",
    )
    temperature_by_activity: bool | None = Field(
        None,
        description="true: a user's temperature is proportional to the number of items, from a quarter to four times "
        "that of a user with the median number; false: all users have the same; null: true if validation users show "
        "that people with many items leak more, but always false if the data is sparse",
    )
    margin_rounds: int = Field(8, ge=0, description="rounds of fitting item popularity; 0: as the decoder has it")
    pair_rounds: int = Field(
        8, ge=0, description="rounds of fitting the pairs of items that small groups share; 0: as the decoder has them"
    )
    margin_users: int = Field(
        8192, ge=64, description="users drawn per round, at least; rounded up to whole blocks of sampling"
    )


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
    fold_seeds: int = Field(
        5, ge=1, description="random splits of each evaluation user's items into input and hidden items"
    )
    input_share: Share = Field(0.8, gt=0, lt=1, description="share of an evaluation user's items given as input")
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
        0.025, description="share of synthetic users that are closer to a training user than people are to one another"
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
        description="how often users are sampled, at most. The second time has a new seed, and a higher temperature if "
        "only privacy gates refused the first and sampling.temperature is null",
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
        2e11,
        gt=0,
        description="multiply-adds for an exact comparison, at most; beyond that random subsets of users are compared",
    )
    margins: PrivacyMarginsConfig = PrivacyMarginsConfig()
    min_dissimilarity: Share = Field(0.5, description="mean Jaccard distance of synthetic from real users, at least")


def _require_ordered(section: Section, low: str, high: str) -> None:
    """Raise a ``ValueError`` if the setting named ``low`` is above the one named ``high``."""
    least, most = getattr(section, low), getattr(section, high)
    if least > most:
        raise ValueError(f"{low} ({least:g}) must not be above {high} ({most:g})")


class RawGateConfig(Section):
    """Bounds of the gate on the raw interactions."""

    min_rows: int = Field(100, ge=1, description="rows the log must have, at least")
    min_rating: float = Field(0.0, description="lowest rating allowed")
    max_rating: float = Field(10.0, description="highest rating allowed")
    max_repeated_share: Share = Field(0.5, description="share of rows that repeat a (user, item) pair, at most")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_ordered(self, "min_rating", "max_rating")
        return self


class MatrixGateConfig(Section):
    """Bounds of the gate on the filtered matrix."""

    min_users: int = Field(100, ge=2, description="users that the filter must leave, at least")
    min_items: int = Field(50, ge=2, description="items that the filter must leave, at least")
    min_density: Share = Field(1e-6, description="share of filled cells of the user-item matrix, at least")
    max_density: Share = Field(0.5, description="share of filled cells of the user-item matrix, at most")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_ordered(self, "min_density", "max_density")
        return self


class SyntheticGateConfig(Section):
    """Bounds of the gate on the sampled users."""

    min_density_ratio: float = Field(
        0.95, ge=0, description="synthetic density over real density cut to what is publishable, at least"
    )
    max_density_ratio: float = Field(
        1.05, ge=0, description="synthetic density over real density cut to what is publishable, at most"
    )
    max_activity_ks: Share = Field(
        0.08, description="Kolmogorov-Smirnov distance of synthetic from real numbers of items per user, at most"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_ordered(self, "min_density_ratio", "max_density_ratio")
        return self


class ReleaseGateConfig(Section):
    """Bounds of the last gate: the measures a release must meet."""

    min_popularity_spearman: float = Field(
        0.8, ge=-1, le=1, description="Spearman correlation of synthetic and real item popularity, at least"
    )
    min_coverage: Share = Field(0.8, description="share of the publishable items that synthetic users have, at least")
    min_svd_recall_ratio: float = Field(
        0.7, ge=0, description="recall@10 of SVD trained on synthetic users over that of SVD trained on real, at least"
    )


class GatesConfig(Section):
    """Quality gates. A gate that fails stops the run before the next stage."""

    raw_interactions: RawGateConfig = RawGateConfig()
    matrix: MatrixGateConfig = MatrixGateConfig()
    synthetic: SyntheticGateConfig = SyntheticGateConfig()
    release: ReleaseGateConfig = ReleaseGateConfig()


class ComputeConfig(Section):
    """How the work is split and where it runs. On the CPU this never changes a result."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda if there is a GPU, else cpu")
    batch_users: int = Field(4096, ge=1, description="synthetic users denoised at once on a GPU")
    shard_users: int = Field(
        2_500, ge=1, description="synthetic users per file in the working directory, approximately"
    )


class PathsConfig(Section):
    """Directories. Relative paths start at the current directory."""

    releases: Path = Field(Path("releases"), description="releases are published here")
    work: Path = Field(Path("work"), description="working directories, mode 0700; real user ids stay here")
    cache: Path = Field(Path("~/.cache/sdrm"), description="downloads of named data sets")

    _are_local = field_validator("releases", "work", "cache")(local_directory)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if lies_within(self.releases, self.work) or lies_within(self.work, self.releases):
            raise ValueError(
                f"releases ({self.releases}) and work ({self.work}) must be separate, neither inside the other: "
                "releases are shared, and work holds real user ids"
            )
        return self


class PipelineConfig(Section):
    """All settings of a run."""

    dataset: str = Field(
        "demo",
        pattern=NAME_PATTERN,
        max_length=100,  # file names, some made from this name, have at most 255 bytes
        description="name of the release folder, 100 characters at most",
    )
    seed: int = Field(0, ge=0, lt=1 << 63, description="the seed of all random numbers")
    source: SourceConfig = SourceConfig()
    filter: FilterConfig = FilterConfig()
    roles: RolesConfig = RolesConfig()
    vae: VaeConfig = VaeConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    sampling: SamplingConfig = SamplingConfig()
    utility: UtilityConfig = UtilityConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    gates: GatesConfig = GatesConfig()
    compute: ComputeConfig = ComputeConfig()
    paths: PathsConfig = PathsConfig()

    # Each rule checks one field: a validator of the whole model would run only after all fields are valid.

    @field_validator("source")
    @classmethod
    def _own_data_has_its_own_name(cls, source: SourceConfig, info: ValidationInfo) -> SourceConfig:
        demo = cls.model_fields["dataset"].default
        if source.uri != "embedded" and info.data.get("dataset") == demo:
            raise ValueError(f"set dataset to a name of its own, e.g. dataset=shop: {demo!r} is the embedded data set")
        return source

    @field_validator("vae")
    @classmethod
    def _has_dropout(cls, vae: VaeConfig) -> VaeConfig:
        if not vae.dropout:
            raise ValueError("dropout must be above 0: the VAE learns by predicting items that it is not shown")
        return vae

    @field_validator("utility")
    @classmethod
    def _judged_by_svd(cls, utility: UtilityConfig) -> UtilityConfig:
        if "svd" not in utility.judges:
            raise ValueError("judges must include 'svd': gates.release.min_svd_recall_ratio needs it")
        return utility

    def public_settings(self) -> dict[str, Any]:
        """Return the settings as JSON values to publish: without ``paths``, and with only the name of the source."""
        settings = self.model_dump(mode="json", exclude={"paths"})
        settings["source"]["uri"] = self.source.name
        return settings

    def result_settings(self) -> dict[str, Any]:
        """Return the settings that can change a result on the CPU: those of ``public_settings`` without ``compute``."""
        settings = self.public_settings()
        del settings["compute"]
        return settings

    def result_digest(self) -> str:
        """Return the SHA-256 of ``result_settings``."""
        return hashlib.sha256(json.dumps(self.result_settings(), sort_keys=True).encode()).hexdigest()
