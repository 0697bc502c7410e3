"""What each gate expects, as data one can read: one function a gate, a list of plain dictionaries an answer.

Nothing here knows how an expectation is evaluated; ``tasks.gates`` does that.
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
from tasks.expectations import (
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

IdType = Literal["integer", "text"]
_ID_DTYPES = {"integer": "int64", "text": "str"}


def raw_interactions_suite(
    config: RawGateConfig, source: SourceConfig, *, user_id_type: IdType, item_id_type: IdType
) -> Suite:
    """Return what the log must be before it is merged and filtered; its table is ``gate_frames.raw_frame``.

    Args:
        config: bounds of the gate.
        source: says which columns the log has.
        user_id_type: type the ingest settled on, ``auto`` resolved.
        item_id_type: likewise for items.
    """
    is_explicit = source.feedback == "explicit"
    optional = [*([RATING] if is_explicit else []), *([TIMESTAMP] if source.columns.timestamp else [])]
    log_columns = [USER, ITEM, *optional]
    remedy = "Check source.columns, source.format and the file."
    id_why = "an id read as a number of another kind loses digits or leading zeros"
    return [
        columns_are([*log_columns, IS_REPEATED], why="later stages address columns by name", remedy=remedy),
        row_count(
            config.min_rows,
            None,
            why="a cut-off delivery must not become a release",
            remedy="Check that the source is whole, or lower gates.raw_interactions.min_rows.",
        ),
        has_type(USER, _ID_DTYPES[user_id_type], why=id_why, remedy=remedy),
        has_type(ITEM, _ID_DTYPES[item_id_type], why=id_why, remedy=remedy),
        *(not_null(column, why="a row without it cannot be assigned", remedy=remedy) for column in log_columns),
        *(_ratings(config, source) if is_explicit else []),
        has_type(IS_REPEATED, "bool", why="a flag is set or not, never missing", remedy="Run the ingest stage again."),
        in_set(
            IS_REPEATED,
            [False],
            min_share=1 - config.max_repeated_share,
            why="many repeated (user, item) pairs mean a log delivered twice",
            remedy="Remove the doubled part; where events recur, as plays and clicks do, raise "
            "gates.raw_interactions.max_repeated_share.",
        ),
    ]


def matrix_suite(config: MatrixGateConfig, filter_config: FilterConfig) -> Suite:
    """Return what the filtered matrix must be; its table is the one row of ``gate_frames.matrix_frame``."""
    remedy = "Point source at a larger log, or lower the limits in filter or in gates.matrix."
    core = "the filter removes what is below its limits; an empty row or column can teach nothing"
    fault = "Remove the run's matrix directory and run again; if it recurs, the filter is at fault."
    return [
        row_count(1, 1, why="one matrix, one row of facts", remedy=fault),
        *fact("users", config.min_users, None, why="too few users to learn from or to hide among", remedy=remedy),
        *fact("items", config.min_items, None, why="too few items to recommend", remedy=remedy),
        *fact(
            "density",
            config.min_density,
            config.max_density,
            why="an odd density means wrongly mapped columns or a wrong threshold",
            remedy="Check source.columns and source.positive_rating, or move the bounds in gates.matrix.",
        ),
        *fact("fewest_user_positives", filter_config.min_user_positives, None, why=core, remedy=fault),
        *fact("fewest_item_positives", filter_config.min_item_positives, None, why=core, remedy=fault),
        *fact("repeated_cells", 0, 0, why="a cell stored twice would count twice", remedy=fault),
    ]


def synthetic_users_suite(*, users: int) -> Suite:
    """Return what each synthetic user must be; its table has a row a user, of ``gate_frames.synthetic_frame``.

    Args:
        users: synthetic users that were asked for.
    """
    remedy = "Remove the run's samples directory and run again; if it recurs, the draw of items is at fault."
    never = {
        "repeated_items": "a user has an item once at most",
        "foreign_items": "an item outside the catalogue cannot be named",
        "unpublishable_items": "an item that too few training users have could point at one of them",
    }
    columns = ["user", "items", *never]
    return [
        columns_are(columns, why="the checks below address columns by name", remedy=remedy),
        row_count(users, users, why="as many users as were asked for", remedy=remedy),
        *(has_type(column, "int64", why="numbers and counts are whole", remedy=remedy) for column in columns),
        *(not_null(column, why="what is missing cannot be checked", remedy=remedy) for column in columns),
        unique("user", why="a repeated number is a shard read twice", remedy=remedy),
        between("items", 1, None, why="an empty user is worthless and conspicuous", remedy=remedy),
        *(between(column, 0, 0, why=why, remedy=remedy) for column, why in never.items()),
    ]


def synthetic_facts_suite(config: SyntheticGateConfig) -> Suite:
    """Return how near the source the synthetic users must be as a whole.

    The table is one row of facts: ``density_ratio`` and ``activity_ks``.
    """
    return [_one_row(), *_likeness(config)]


def privacy_fact(gate: PrivacyGate) -> str:
    """Return the column that holds a privacy gate's verdict."""
    return f"privacy_{gate}"


def release_suite(
    gates: GatesConfig, privacy: PrivacyConfig, *, answers: Mapping[PrivacyGate, str] | None = None
) -> Suite:
    """Return what a release must measure up to; its table is one row of facts.

    The columns are the measures below and, for each privacy gate, ``privacy_<gate>`` with its verdict. A gate whose
    INCONCLUSIVE the operator accepts still says so, as a warning, which does not stop the run.

    Args:
        gates: bounds of the measures.
        privacy: which privacy gates may be inconclusive, or are only reported.
        answers: the privacy gates' answers in words, by gate, to be shown beside the verdicts.
    """
    bounds = gates.release
    remedy = "See the run's fidelity and utility reports; more data or longer training helps. Bounds: gates.release."
    popular, covered = "what is popular must stay popular", "the catalogue must not shrink to its head"
    useful_remedy = (
        f"{remedy} A lower sampling.temperature is more useful too, as far as the privacy gates let it through."
    )
    useful = "a recommender trained on it must serve real users"
    ranked = f"{remedy} Items that privacy.k_anonymity keeps back count as well: the higher it is, the lower this."
    unranked = "Equally popular items cannot be ranked; if few are published, see privacy.k_anonymity."
    return [
        _one_row(),
        *fact(
            "popularity_spearman", bounds.min_popularity_spearman, 1, why=popular, remedy=ranked, if_missing=unranked
        ),
        *fact("coverage", bounds.min_coverage, 1, why=covered, remedy=remedy),
        *fact("svd_recall_ratio", bounds.min_svd_recall_ratio, None, why=useful, remedy=useful_remedy),
        *_likeness(gates.synthetic),
        *(
            expectation
            for gate in get_args(PrivacyGate)
            for expectation in _privacy(gate, privacy, answer=(answers or {}).get(gate, ""))
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
            why="a rating off the scale makes positives of dislikes, or the reverse",
            remedy=f"Correct the source's column {source.columns.rating!r}, or {bounds}.",
        ),
    ]


def _one_row() -> Expectation:
    return row_count(1, 1, why="one result, one row of facts", remedy="Run the measuring stage again.")


def _likeness(config: SyntheticGateConfig) -> Suite:
    remedy = (
        "See the training curves: the model may not have learned. Where few users have most items, chance alone moves "
        "the density. Bounds: gates.synthetic."
    )
    low, high = config.min_density_ratio, config.max_density_ratio
    return [
        *fact("density_ratio", low, high, why="users have as many items as of real ones may show", remedy=remedy),
        *fact("activity_ks", 0, config.max_activity_ks, why="light and heavy users stay as they are", remedy=remedy),
    ]


def _privacy(gate: PrivacyGate, config: PrivacyConfig, *, answer: str) -> Suite:
    column = privacy_fact(gate)
    remedy = f"{answer} See gate {gate} in privacy.html, in the run's working directory.".lstrip()
    missing = not_null(column, why="a privacy gate without a verdict has not passed", remedy=remedy)
    if gate in config.report_only:
        openly = "the configuration only reports this gate, for data that is public anyway, and names it openly"
        return [missing, in_set(column, ["PASS"], why=openly, remedy=remedy, severity="warning")]
    why = answer or "nothing that leaks is published"
    if gate not in config.accept_inconclusive:
        remedy += (
            " After a FAIL: more users, or no release."
            f" INCONCLUSIVE, never FAIL, may be accepted: add {gate} to privacy.accept_inconclusive."
        )
        return [missing, in_set(column, ["PASS"], why=why, remedy=remedy)]
    openly = "INCONCLUSIVE is accepted here by the configuration, and named openly"
    return [
        missing,
        in_set(column, ["PASS", "INCONCLUSIVE"], why=why, remedy=remedy),
        in_set(column, ["PASS"], why=openly, remedy=remedy, severity="warning"),
    ]
