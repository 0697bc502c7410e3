"""All settings of a run, and which of them change a result."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sdrm_core.config.gates import GatesConfig
from sdrm_core.config.judgement import PrivacyConfig, UtilityConfig
from sdrm_core.config.model import DiffusionConfig, SamplingConfig, VaeConfig
from sdrm_core.config.places import lies_within, local_directory
from sdrm_core.config.section import Section
from sdrm_core.config.source import FilterConfig, RolesConfig, SourceConfig

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


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

    @field_validator("sampling")
    @classmethod
    def _doubts_a_linear_decoder(cls, sampling: SamplingConfig, info: ValidationInfo) -> SamplingConfig:
        vae = info.data.get("vae")
        if sampling.doubt and vae and vae.decoder_units:
            raise ValueError("doubt needs a linear decoder: set doubt or vae.decoder_units to 0")
        return sampling

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
