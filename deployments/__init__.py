"""How nights are run: configurations, the deployment and its runbook; `sdrm` ships them with the code."""
