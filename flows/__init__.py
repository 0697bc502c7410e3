"""The story of a night, in order. Knows Prefect and the tasks; no tensors, no frames, no expectations."""

import logging
import os

# Prefect reads these when it is first imported. Nothing is sent anywhere, no page asks an outside host,
# and what the pipeline logs under its own name is kept with the run.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "sdrm",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}.items():
    os.environ.setdefault(_name, _value)

# Under a worker the root logger would let nothing below WARNING through to the run's pages.
logging.getLogger("sdrm").setLevel(logging.INFO)
