"""The wording of the reports: numbers as text, and plain words for the names of gates, figures and stages."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

MISSING = "–"
_LAST_BITS = 1e-12

# All tables use the order of these mappings.
PRIVACY_GATES: Mapping[str, str] = {
    "hygiene": "Hygiene",
    "k_anonymous_items": "Rare items",
    "unique_copies": "Copies of one person",
    "near_copies": "Near copies",
    "closer_to_train": "Closeness to training users",
    "membership": "Recognising training users",
    "rare_pairs": "Rare pairs of items",
    "completion": "Guessing a person's other items",
    "dissimilarity": "Average dissimilarity",
}

QUALITY_GATES: Mapping[str, str] = {
    "raw_interactions": "the interaction log as read from the source",
    "matrix": "the filtered user-item matrix",
    "synthetic": "the synthetic users",
    "release": "the measures of fidelity, utility and privacy",
}

FIGURES: Mapping[str, str] = {
    "popularity_total_variation": "Item popularity, distance",
    "popularity_spearman": "Item popularity, Spearman correlation",
    "popularity_gini": "Item popularity, Gini coefficient",
    "publishable_gini": "Item popularity, Gini coefficient of publishable items",
    "tail_share": "Share of the long tail",
    "catalogue_coverage": "Share of the publishable items that occur",
    "activity_ks": "User activity, KS distance",
    "activity_mean": "Items per user, mean",
    "activity_sd": "Items per user, standard deviation",
    "activity_max": "Items per user, largest",
    "empty_user_share": "Empty users",
    "density_ratio": "Density ratio",
    "cooccurrence_correlation": "Pairs of items, correlation",
    "classifier_auc": "Real or synthetic, classifier AUC",
}

GOALS: Mapping[str, str] = {"lower": "lower is better", "higher": "higher is better", "match": "should match"}

ARMS: Mapping[str, str] = {
    "real": "real users",
    "real_same_size": "as many real users as synthetic ones",
    "synthetic": "synthetic users",
    "popularity_sampler": "popularity sampler",
}

JUDGES: Mapping[str, str] = {
    "popularity": "Popularity",
    "svd": "SVD",
    "ease": "EASE",
    "ials": "iALS",
    "mlp": "MLP",
    "neumf": "NeuMF",
}

# Training stage → (title, meaning of the loss, meaning of the validation figure; None if it is the loss).
TRAINING: Mapping[str, tuple[str, str, str | None]] = {
    "vae": ("VAE", "training loss", "log-likelihood of hidden items, nats (higher is better)"),
    "diffusion": ("Diffusion", "training loss", "denoising loss of validation users (lower is better)"),
    "margins": ("Item margins", "distance of item popularity (lower is better)", None),
    "pairs": ("Pairs of items", "distance of item popularity (lower is better)", None),
    "refining": ("Item margins, refined", "distance of item popularity (lower is better)", None),
}


def ordered(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the entries of ``values`` in the order of ``names``, then the other entries in their own order."""
    known = [name for name in names if name in values]
    return {name: values[name] for name in [*known, *(name for name in values if name not in known)]}


def plain(name: str) -> str:
    """Return an internal name as words, e.g. ``measure_privacy`` as ``measure privacy``."""
    return name.replace("_", " ").replace("-", " ")


def whole(number: float | None) -> str:
    """Return a count with commas, e.g. ``95,215``; "–" for None."""
    return MISSING if number is None else f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, e.g. ``1 user`` or ``2,000 users``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def doubting(doubt: float) -> str:
    """Return the doubt, to follow a temperature; empty if there is none."""
    return f", doubt {doubt:g}" if doubt else ""


def figure(value: float | None) -> str:
    """Return a figure with three decimals; fewer if it is large, more if it would read as 0; "–" for None."""
    if value is None:
        return MISSING
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return _apart(value, from_=0.0, decimals=sum(abs(value) < bound for bound in (1, 10, 100)))


def signed(value: float | None) -> str:
    """Return a difference in the format of ``figure``, with its sign."""
    return figure(value) if value is None or value <= 0 else f"+{figure(value)}"


def ratio(value: float | None) -> str:
    """Return a ratio with three decimals, or with more if it is not 1 but would read 1.000; "–" for None.

    So a reader sees on which side of 1 the end of an interval lies.
    """
    return MISSING if value is None else _apart(value, from_=1.0, decimals=3)


def _apart(value: float, *, from_: float, decimals: int) -> str:
    """Return a number with ``decimals`` decimals, or with more (up to six) if it would otherwise equal ``from_``."""
    texts = (f"{value:.{places}f}" for places in range(decimals, 7))
    return next((text for text in texts if float(text) != from_), f"{from_:.{decimals}f}")


def rounded(number: float, *, digits: int) -> float:
    """Return a number with ``digits`` significant digits; 0 if it is below 1e-12, a rounding error of a sum."""
    return 0.0 if abs(number) < _LAST_BITS else float(f"{number:.{digits}g}")


def percent(share: float | None) -> str:
    """Return a share in percent with three significant digits, e.g. ``4.00 %``; "–" for None."""
    return MISSING if share is None else f"{100 * share:#.3g}".rstrip(".") + " %"


def duration(seconds: float) -> str:
    """Return a time, e.g. ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(n_bytes: float) -> str:
    """Return a file size in decimal units, e.g. ``1.3 MB``."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"


def interval(estimate: Mapping[str, Any] | None, write: Callable[[float | None], str] = figure) -> str:
    """Return the 95 % interval of an estimate, e.g. ``0.341 to 0.389``; empty if there is none."""
    if not estimate or estimate.get("low") is None or estimate.get("high") is None:
        return ""
    return f"{write(estimate['low'])} to {write(estimate['high'])}"


def p_value(value: float) -> str:
    """Return a p-value with three decimals, or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def sentence(text: str) -> str:
    """Return a phrase as a sentence, with a capital letter first and a full stop last."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def setting(value: Any) -> str:
    """Return a setting's value as in a YAML file."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(setting(one) for one in value) + "]"
    return str(value)


FILTERS = (ordered, plain, whole, counted, figure, ratio, percent, duration, size, interval, p_value, sentence, setting)
