"""The suites: what each gate expects, as a list of plain dictionaries (expectations).

``tasks.gates.evaluation`` evaluates them.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from sdrm_core.config import (
    FilterConfig,
    GatesConfig,
    MatrixGateConfig,
    PrivacyConfig,
    PrivacyGate,
    RawGateConfig,
    SourceConfig,
    SyntheticGateConfig,
)
from sdrm_core.privacy.verdicts import GateVerdict, Verdict
from tasks.gates.expectations import (
    Expectation,
    Suite,
    between,
    columns_are,
    fact,
    has_type,
    in_set,
    not_null,
    row_count,
    unique,
)

USER, ITEM, RATING, TIMESTAMP, IS_REPEATED = "user_id", "item_id", "rating", "timestamp", "is_repeated"

# What to do after a FAIL of the gates that count exactly: more users do not help there.
_AFTER_FAIL: Mapping[PrivacyGate, str] = {
    "hygiene": "Run it again with another seed; if this recurs, the sampling has a bug.",
    "k_anonymous_items": "Do not publish; the draw of items has a bug.",
    "dissimilarity": "If privacy.html shows that real users differ from one another as little (real to real), the data "
    "are dense; then lower privacy.min_dissimilarity.",
}
_AFTER_ANY_FAIL = "Use more users, or do not publish: a FAIL cannot be accepted."

IdType = Literal["integer", "text"]
_ID_DTYPES = {"integer": "int64", "text": "str"}


def raw_interactions_suite(
    config: RawGateConfig, source: SourceConfig, *, user_id_type: IdType, item_id_type: IdType
) -> Suite:
    """Return the expectations on the log before it is merged and filtered; the columns are ``frames.raw_columns``.

    Args:
        config: bounds of the gate.
        source: tells which columns the log has.
        user_id_type: type of the user ids in the ingested log (``auto`` is already resolved).
        item_id_type: type of the item ids.
    """
    is_explicit = source.feedback == "explicit"
    optional = [RATING, *([TIMESTAMP] if source.columns.timestamp else [])] if is_explicit else []
    log_columns = [USER, ITEM, *optional]
    remedy = "Check source.columns, source.format and the file."
    id_why = "an id that is read as another type can lose digits or leading zeros"
    return [
        columns_are([*log_columns, IS_REPEATED], why="later stages find columns by name", remedy=remedy),
        row_count(
            config.min_rows,
            None,
            why="a truncated file must not become a release",
            remedy="Check that the source is complete, or lower gates.raw_interactions.min_rows.",
        ),
        has_type(USER, _ID_DTYPES[user_id_type], why=id_why, remedy=remedy),
        has_type(ITEM, _ID_DTYPES[item_id_type], why=id_why, remedy=remedy),
        *(not_null(column, why="a row without this value cannot be used", remedy=remedy) for column in log_columns),
        *(_ratings(config, source) if is_explicit else []),
        has_type(IS_REPEATED, "bool", why="a flag is set or not, never missing", remedy="Run the ingest stage again."),
        in_set(
            IS_REPEATED,
            [False],
            min_share=1 - config.max_repeated_share,
            why="many repeated (user, item) pairs suggest that the log was delivered twice",
            remedy="Remove the duplicate rows; if repeated events are normal, such as plays and clicks, raise "
            "gates.raw_interactions.max_repeated_share.",
        ),
    ]


def matrix_suite(config: MatrixGateConfig, filter_config: FilterConfig) -> Suite:
    """Return the expectations on the filtered matrix; the table is the one row of ``frames.matrix_frame``."""
    remedy = "Point source at a larger log, or lower the limits in filter or in gates.matrix."
    core = "the filter removes users and items below its limits; nothing can be learned from empty ones"
    fault = "Remove the run's matrix directory and run again; if this recurs, the filter has a bug."
    return [
        row_count(1, 1, why="one matrix gives one row of facts", remedy=fault),
        *fact(
            "users",
            config.min_users,
            None,
            why="fewer users are too few to learn from and to hide among",
            remedy=remedy,
        ),
        *fact("items", config.min_items, None, why="fewer items are too few to recommend from", remedy=remedy),
        *fact(
            "density",
            config.min_density,
            config.max_density,
            why="an unusual density suggests wrong columns or a wrong rating threshold",
            remedy="Check source.columns and source.positive_rating, or move the bounds in gates.matrix.",
        ),
        *fact("fewest_user_positives", filter_config.min_user_positives, None, why=core, remedy=fault),
        *fact("fewest_item_positives", filter_config.min_item_positives, None, why=core, remedy=fault),
        *fact("repeated_cells", 0, 0, why="a cell stored twice would count twice", remedy=fault),
    ]


def synthetic_users_suite(*, users: int) -> Suite:
    """Return the expectations on each synthetic user; the table (``frames.synthetic_frame``) has a row per user.

    Args:
        users: number of synthetic users that were to be drawn.
    """
    remedy = "Remove the run's samples directory and run again; if this recurs, the draw of items has a bug."
    never = {
        "repeated_items": "a user has each item at most once",
        "foreign_items": "an item outside the catalogue has no id",
        "unpublishable_items": "an item of too few training users could identify one of them",
    }
    columns = ["user", "items", *never]
    return [
        columns_are(columns, why="the checks below find columns by name", remedy=remedy),
        row_count(users, users, why="there must be as many users as were asked for", remedy=remedy),
        *(has_type(column, "int64", why="numbers and counts are whole", remedy=remedy) for column in columns),
        *(not_null(column, why="a missing value cannot be checked", remedy=remedy) for column in columns),
        unique("user", why="a repeated number means that a shard was read twice", remedy=remedy),
        between("items", 1, None, why="a user without items is useless and conspicuous", remedy=remedy),
        *(between(column, 0, 0, why=why, remedy=remedy) for column, why in never.items()),
    ]


def synthetic_facts_suite(config: SyntheticGateConfig) -> Suite:
    """Return the expectations on the similarity between the synthetic users as a whole and the source.

    The table has one row with the columns ``density_ratio`` and ``activity_ks``.
    """
    return [_one_row(), *_likeness(config)]


def privacy_fact(gate: PrivacyGate) -> str:
    """Return the name of the column with the verdict of a privacy gate."""
    return f"privacy_{gate}"


def release_suite(
    gates: GatesConfig, privacy: PrivacyConfig, *, answers: Mapping[PrivacyGate, GateVerdict] | None = None
) -> Suite:
    """Return the expectations on a release; the table has one row.

    Its columns are the measures below and, for each privacy gate, ``privacy_<gate>`` with the verdict. If the operator
    accepts INCONCLUSIVE for a gate, such a verdict gives a warning, which does not stop the run.

    Args:
        gates: bounds of the measures.
        privacy: tells which privacy gates may be inconclusive, and which are only reported.
        answers: of the privacy gates; they decide what is advised if a verdict is not accepted.
    """
    bounds = gates.release
    remedy = "See the run's fidelity and utility reports; more data or longer training helps. Bounds: gates.release."
    popular, covered = "popular items must stay popular", "the catalogue must not shrink to its most popular items"
    useful = "a recommender trained on it must serve real users"
    ranked = (
        f"{remedy} Items that privacy.k_anonymity withholds count too: a higher limit lowers this figure. If the "
        "figure of the holdout in the fidelity report is as low, the items are about equally popular, and their order "
        "is chance: then lower gates.release.min_popularity_spearman."
    )
    unranked = "If all items are equally popular, there is no ranking; if few are published, see privacy.k_anonymity."
    return [
        _one_row(),
        *fact(
            "popularity_spearman", bounds.min_popularity_spearman, 1, why=popular, remedy=ranked, if_missing=unranked
        ),
        *fact("coverage", bounds.min_coverage, 1, why=covered, remedy=remedy),
        *fact("svd_recall_ratio", bounds.min_svd_recall_ratio, None, why=useful, remedy=remedy),
        *_likeness(gates.synthetic),
        *(
            expectation
            for gate in get_args(PrivacyGate)
            for expectation in _privacy(gate, privacy, answer=(answers or {}).get(gate))
        ),
    ]


def _ratings(config: RawGateConfig, source: SourceConfig) -> Suite:
    bounds = "gates.raw_interactions.min_rating and max_rating"
    return [
        has_type(RATING, "float64", why="ratings are compared with a threshold", remedy="Check source.columns.rating."),
        between(
            RATING,
            config.min_rating,
            config.max_rating,
            why="a rating outside the scale can turn a dislike into a positive, or the reverse",
            remedy=f"Correct column {source.columns.rating!r} of the source, or change {bounds}.",
        ),
    ]


def _one_row() -> Expectation:
    return row_count(1, 1, why="one result gives one row of facts", remedy="Run the measuring stage again.")


def _likeness(config: SyntheticGateConfig) -> Suite:
    remedy = (
        "See the training curves: the model may not have learned. If a few users have most of the items, chance alone "
        "can change the density. Bounds: gates.synthetic."
    )
    low, high = config.min_density_ratio, config.max_density_ratio
    return [
        *fact(
            "density_ratio",
            low,
            high,
            why="users must have as many items as real users, cut to what is publishable",
            remedy=remedy,
        ),
        *fact(
            "activity_ks",
            0,
            config.max_activity_ks,
            why="users with few and with many items must be as frequent as in the real data",
            remedy=remedy,
        ),
    ]


def _privacy(gate: PrivacyGate, config: PrivacyConfig, *, answer: GateVerdict | None) -> Suite:
    column = privacy_fact(gate)
    sentence = answer.sentence if answer else ""
    remedy = f"{sentence} See gate {gate} in privacy.html, in the run's working directory.".lstrip()
    missing = not_null(column, why="a privacy gate without a verdict has not passed", remedy=remedy)
    if gate in config.report_only:
        openly = "the configuration only reports this gate, for public data, and each release names it openly"
        return [missing, in_set(column, ["PASS"], why=openly, remedy=remedy, severity="warning")]
    why = sentence or "a release that leaks must not be published"
    if answer and answer.verdict == Verdict.INCONCLUSIVE:
        remedy += f" Or whoever answers for privacy accepts it openly: add {gate} to privacy.accept_inconclusive."
    else:
        remedy += " " + _AFTER_FAIL.get(gate, _AFTER_ANY_FAIL)
    if gate not in config.accept_inconclusive:
        return [missing, in_set(column, ["PASS"], why=why, remedy=remedy)]
    openly = "the configuration accepts INCONCLUSIVE for this gate, and each release says so openly"
    return [
        missing,
        in_set(column, ["PASS", "INCONCLUSIVE"], why=why, remedy=remedy),
        in_set(column, ["PASS"], why=openly, remedy=remedy, severity="warning"),
    ]
