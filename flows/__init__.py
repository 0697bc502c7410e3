"""The Prefect flows, which call the tasks in order, and the command line.

They contain no numerical code, data frames or expectations of gates.
"""

import logging
import os

# Prefect reads these when it is first imported. They switch off telemetry and requests to other hosts from Prefect's
# web pages, and they keep the log messages of the logger "sdrm" with the run.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "sdrm",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}.items():
    os.environ.setdefault(_name, _value)

# Under a Prefect worker, the root logger would drop messages below WARNING, so they would not reach the web pages.
logging.getLogger("sdrm").setLevel(logging.INFO)
