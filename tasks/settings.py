"""Which settings decide a result. Neither Prefect nor torch is imported here until it is needed."""

from typing import Any

from sdrm_core.config import PipelineConfig


def deciding_settings(config: PipelineConfig) -> dict[str, Any]:
    """Return the settings that decide a result, with the kind of device unless it is the CPU.

    The same seed gives other results on a GPU than on the CPU.
    """
    from sdrm_core.model.devices import resolve_device  # takes seconds, and the options of a command are read first

    device = resolve_device(config.compute.device).type
    return config.result_settings() | ({} if device == "cpu" else {"device": device})
