"""A privacy report around given verdicts."""

from sdrm_core.privacy.verdicts import GateVerdict, PrivacyReport, overall


def privacy_report_of(*gates: GateVerdict) -> PrivacyReport:
    return PrivacyReport(
        verdict=overall(gates, ()),
        gates=gates,
        accepted=(),
        n_synthetic=100,
        n_train=100,
        n_holdout=100,
        compared="",
        formal_guarantee="",
        histograms={},
    )
