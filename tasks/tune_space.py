"""The settings that ``sdrm tune`` searches, each with its bounds: the one table of them."""

from collections.abc import Mapping
from typing import Any

from optuna.trial import Trial

from sdrm_core.config import PipelineConfig
from sdrm_core.records import Record


class Setting(Record):
    """One setting.

    Attributes:
        path: in the configuration, e.g. ``vae.beta``.
        low: least value tried.
        high: largest value tried.
        is_integer: whether only whole numbers are.
        is_log: whether ratios rather than differences count.
        step: of whole numbers that are not logarithmic.
    """

    path: str
    low: float
    high: float
    is_integer: bool = False
    is_log: bool = False
    step: int = 1


_FIRST_TEMPERATURE = 1.0  # the model's own: where a search begins that is not told where

SPACE = (
    Setting(path="vae.latent_dim", low=4, high=256, is_integer=True, is_log=True),
    Setting(path="vae.hidden_units", low=100, high=1200, is_integer=True, step=50),
    Setting(path="vae.beta", low=0.02, high=2.0, is_log=True),
    Setting(path="vae.item_precision", low=0.1, high=50.0, is_log=True),
    Setting(path="vae.dropout", low=0.1, high=0.8),
    Setting(path="vae.learning_rate", low=2e-4, high=5e-3, is_log=True),
    Setting(path="diffusion.hidden_units", low=64, high=512, is_integer=True, step=32),
    Setting(path="diffusion.max_epochs", low=5, high=80, is_integer=True, is_log=True),
    Setting(path="sampling.temperature", low=0.2, high=2.0),
)


def with_concrete_values(config: PipelineConfig, *, n_train_users: int) -> PipelineConfig:
    """Return the configuration with a number for every searched setting, those that go by the data included."""
    temperature = _FIRST_TEMPERATURE if config.sampling.temperature is None else config.sampling.temperature
    sampling = config.sampling.model_copy(update={"temperature": temperature})
    return config.model_copy(update={"vae": config.vae.sized_for(n_train_users), "sampling": sampling})


def values_of(config: PipelineConfig) -> dict[str, Any]:
    """Return the searched settings' values in a configuration."""
    return {setting.path: _at(config, setting.path) for setting in SPACE}


def suggested(trial: Trial, *, given: PipelineConfig) -> dict[str, Any]:
    """Return the values a trial shall try; the bounds make room for the values given, wherever those lie."""
    return {setting.path: _suggest(trial, setting, _at(given, setting.path)) for setting in SPACE}


def with_values(config: PipelineConfig, values: Mapping[str, Any]) -> PipelineConfig:
    """Return the configuration with these values, validated."""
    tree = config.model_dump(mode="json")
    for path, value in values.items():
        section, key = path.split(".")
        tree[section][key] = value
    return PipelineConfig.model_validate(tree)


def _suggest(trial: Trial, setting: Setting, given: float) -> float:
    low, high = min(setting.low, given), max(setting.high, given)
    if setting.is_integer:
        # A step the given value does not lie on would move it: then every whole number is tried.
        step = setting.step if (given - low) % setting.step == 0 and (high - low) % setting.step == 0 else 1
        return trial.suggest_int(setting.path, int(low), int(high), step=step, log=setting.is_log)
    is_log = setting.is_log and low > 0
    return trial.suggest_float(setting.path, low, high, log=is_log)


def _at(config: PipelineConfig, path: str) -> Any:
    section, key = path.split(".")
    return getattr(getattr(config, section), key)
