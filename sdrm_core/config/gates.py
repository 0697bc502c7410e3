"""Bounds of the quality gates."""

from typing import Self

from pydantic import Field, model_validator

from sdrm_core.config.section import Section, Share, require_ordered


class RawGateConfig(Section):
    """Bounds of the gate on the raw interactions."""

    min_rows: int = Field(100, ge=1, description="rows the log must have, at least")
    min_rating: float = Field(0.0, description="lowest rating allowed")
    max_rating: float = Field(10.0, description="highest rating allowed")
    max_repeated_share: Share = Field(0.5, description="share of rows that repeat a (user, item) pair, at most")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        require_ordered(self, "min_rating", "max_rating")
        return self


class MatrixGateConfig(Section):
    """Bounds of the gate on the filtered matrix."""

    min_users: int = Field(100, ge=2, description="users that the filter must leave, at least")
    min_items: int = Field(50, ge=2, description="items that the filter must leave, at least")
    min_density: Share = Field(1e-6, description="share of filled cells of the user-item matrix, at least")
    max_density: Share = Field(0.5, description="share of filled cells of the user-item matrix, at most")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        require_ordered(self, "min_density", "max_density")
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
        require_ordered(self, "min_density_ratio", "max_density_ratio")
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
