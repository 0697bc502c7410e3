"""The settings that ``sdrm tune`` searches, each with its bounds."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from sdrm_core.config import PipelineConfig
from sdrm_core.model.temperature import OWN

SPACE: dict[str, IntDistribution | FloatDistribution] = {
    "vae.latent_dim": IntDistribution(4, 256, log=True),
    "vae.hidden_units": IntDistribution(100, 1200, step=50),
    "vae.beta": FloatDistribution(0.02, 2.0, log=True),
    "vae.item_precision": FloatDistribution(0.1, 50.0, log=True),
    "vae.dropout": FloatDistribution(0.1, 0.8),
    "vae.learning_rate": FloatDistribution(2e-4, 5e-3, log=True),
    "diffusion.hidden_units": IntDistribution(64, 512, step=32),
    "diffusion.max_epochs": IntDistribution(5, 80, log=True),
    "sampling.temperature": FloatDistribution(0.2, 2.0),
}


def with_concrete_values(config: PipelineConfig, *, n_train_users: int) -> PipelineConfig:
    """Return the configuration with a number for every searched setting, also for those that depend on the data."""
    temperature = OWN if config.sampling.temperature is None else config.sampling.temperature
    sampling = config.sampling.model_copy(update={"temperature": temperature})
    return config.model_copy(update={"vae": config.vae.sized_for(n_train_users), "sampling": sampling})


def values_of(config: PipelineConfig) -> dict[str, Any]:
    """Return the value of each searched setting in a configuration."""
    return {path: _at(config, path) for path in SPACE}


def space_around(given: PipelineConfig) -> dict[str, BaseDistribution]:
    """Return the search space of a trial; bounds are widened where needed to include the given values."""
    return {path: _widened(bounds, _at(given, path)) for path, bounds in SPACE.items()}


def with_values(config: PipelineConfig, values: Mapping[str, Any]) -> PipelineConfig:
    """Return the configuration with these values, validated."""
    tree = config.model_dump(mode="json")
    for path, value in values.items():
        section, key = path.split(".")
        tree[section][key] = value
    return PipelineConfig.model_validate(tree)


def _widened(bounds: IntDistribution | FloatDistribution, given: Any) -> BaseDistribution:
    low, high = min(bounds.low, given), max(bounds.high, given)
    if isinstance(bounds, FloatDistribution):
        return FloatDistribution(low, high, log=bounds.log and low > 0)
    # If the given value is not on a step, Optuna would change it; then the step is 1.
    step = bounds.step if (given - low) % bounds.step == 0 and (high - low) % bounds.step == 0 else 1
    return IntDistribution(low, high, log=bounds.log, step=step)


def _at(config: PipelineConfig, path: str) -> Any:
    section, key = path.split(".")
    return getattr(getattr(config, section), key)
