"""All settings of the pipeline, each with its default, bounds and unit; they are defined only here.

``sdrm_core.config.file`` reads them from a file and from the command line.
"""

from sdrm_core.config.gates import (
    GatesConfig,
    MatrixGateConfig,
    RawGateConfig,
    ReleaseGateConfig,
    SyntheticGateConfig,
)
from sdrm_core.config.judgement import PrivacyConfig, UtilityConfig
from sdrm_core.config.model import DiffusionConfig, SamplingConfig, VaeConfig
from sdrm_core.config.names import ArmName, JudgeName, PrivacyGate, Resolution
from sdrm_core.config.pipeline import ComputeConfig, PathsConfig, PipelineConfig
from sdrm_core.config.places import lies_within, local_directory, with_home
from sdrm_core.config.source import ColumnsConfig, FilterConfig, RolesConfig, SourceConfig

__all__ = [
    "ArmName",
    "ColumnsConfig",
    "ComputeConfig",
    "DiffusionConfig",
    "FilterConfig",
    "GatesConfig",
    "JudgeName",
    "MatrixGateConfig",
    "PathsConfig",
    "PipelineConfig",
    "PrivacyConfig",
    "PrivacyGate",
    "RawGateConfig",
    "ReleaseGateConfig",
    "Resolution",
    "RolesConfig",
    "SamplingConfig",
    "SourceConfig",
    "SyntheticGateConfig",
    "UtilityConfig",
    "VaeConfig",
    "lies_within",
    "local_directory",
    "with_home",
]
