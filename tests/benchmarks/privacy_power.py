"""Calibration and power of the privacy gates on real data: prints how often each verdict is given.

python -m tests.benchmarks.privacy_power --data ../shared/data [--draws N] [--only CASE ...]
"""

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.config import PrivacyConfig
from sdrm_core.privacy.judge import judge_privacy
from sdrm_core.privacy.verdicts import PrivacyReport, Verdict
from tests.benchmarks import privacy_data, privacy_plants
from tests.benchmarks.privacy_plants import Draw

CONFIG = PrivacyConfig(k_anonymity=5)
IDS = np.arange(1 << 20)
N_FRESH = 2_000
SEVERITY = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}
Plant = Callable[[Draw, np.random.Generator], csr_matrix]


def judge(synthetic: csr_matrix, draw: Draw, seed: int) -> PrivacyReport:
    ids = IDS[: synthetic.shape[0]]
    return judge_privacy(synthetic, draw.train, draw.holdout, user_ids=ids, previous_ids=None, config=CONFIG, seed=seed)


def publishable(users: csr_matrix, draw: Draw) -> csr_matrix:
    """Drop items that fewer than k training users have, as sampling does, and users left without items."""
    holders = np.bincount(draw.train.indices, minlength=draw.train.shape[1])
    kept = users.multiply((holders >= CONFIG.k_anonymity)[None, :]).tocsr()
    kept.eliminate_zeros()
    return kept[np.diff(kept.indptr) > 0]


def verdicts(report: PrivacyReport) -> dict[str, Verdict]:
    """Verdict by gate, and the whole one; "statistical" leaves out k_anonymous_items, which plants fail trivially."""
    by_gate: dict[str, Verdict] = {gate.gate: gate.verdict for gate in report.gates}
    others = [verdict for gate, verdict in by_gate.items() if gate != "k_anonymous_items"]
    return {**by_gate, "statistical": max(others, key=SEVERITY.__getitem__), "whole": report.verdict}


def tabulate(title: str, users: csr_matrix, plant: Plant, draws: int) -> None:
    counts: dict[str, Counter[Verdict]] = {}
    figures: dict[str, list[tuple[float, float]]] = {}
    began = time.perf_counter()
    for seed in range(draws):
        rng = np.random.default_rng([seed, 7])
        draw = privacy_plants.divide(users, rng, n_fresh=N_FRESH)
        report = judge(plant(draw, rng), draw, seed)
        for gate, verdict in verdicts(report).items():
            counts.setdefault(gate, Counter())[verdict] += 1
        for figure in (figure for gate in report.gates for figure in gate.figures):
            figures.setdefault(figure.name, []).append((figure.effect, figure.upper))
        if (seed + 1) % 10 == 0 or seed + 1 == draws:
            print_counts(f"{title}, {seed + 1} draws, {(time.perf_counter() - began) / (seed + 1):.1f} s each", counts)
    print_figures(figures)


def print_counts(title: str, counts: dict[str, Counter[Verdict]]) -> None:
    print(f"\n{title}\n{'gate':20}{'PASS':>8}{'INCONCL':>9}{'FAIL':>8}")
    for gate, counter in counts.items():
        total = counter.total()
        shares = [100 * counter[v] / total for v in (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)]
        print(f"{gate:20}{shares[0]:7.1f}%{shares[1]:8.1f}%{shares[2]:7.1f}%", flush=True)


def print_figures(figures: dict[str, list[tuple[float, float]]]) -> None:
    """Print what a margin is set by: the effects, and the upper bound that 95 % of the draws stay below."""
    print(f"\n{'figure':20}{'effect':>8}{'+-':>8}{'95 % of upper bounds below':>28}")
    for name, drawn in figures.items():
        effect, upper = np.array(drawn).T
        print(f"{name:20}{effect.mean():8.3f}{effect.std():8.3f}{np.quantile(upper, 0.95):28.3f}", flush=True)


def fresh(draw: Draw, rng: np.random.Generator) -> csr_matrix:
    return publishable(draw.fresh, draw)


def copies(share: float, changed: float = 0.0) -> Plant:
    """The clean part is publishable; the copies are planted as they are, so k_anonymous_items may fail on its own."""

    def plant(draw: Draw, rng: np.random.Generator) -> csr_matrix:
        clean = Draw(draw.train, draw.holdout, publishable(draw.fresh, draw))
        return privacy_plants.with_copies(clean, rng, share=share, changed=changed)

    return plant


def padded(share: float, times: int) -> Plant:
    def plant(draw: Draw, rng: np.random.Generator) -> csr_matrix:
        return publishable(privacy_plants.with_padded_records(draw, rng, share=share, times=times), draw)

    return plant


def popularity(draw: Draw, rng: np.random.Generator) -> csr_matrix:
    return publishable(privacy_plants.popularity_sample(draw, rng, n_users=N_FRESH), draw)


def edge_pairs(draw: Draw, rng: np.random.Generator) -> csr_matrix:
    return privacy_plants.with_edge_pairs(draw, publishable(draw.fresh, draw), rng, k=CONFIG.k_anonymity)


def edge_and_other(draw: Draw, rng: np.random.Generator) -> csr_matrix:
    return privacy_plants.with_edge_and_other(draw, publishable(draw.fresh, draw), rng, k=CONFIG.k_anonymity)


def a_dozen_of_many(draw: Draw, rng: np.random.Generator) -> csr_matrix:
    """As many independent users as there are training users; a dozen complete records among them are hard to see."""
    clean = publishable(privacy_plants.popularity_sample(draw, rng, n_users=draw.train.shape[0]), draw)
    return privacy_plants.with_complete_records(clean, publishable(draw.train, draw), rng, n=12)


def more_copies(users: csr_matrix, draws: int) -> None:
    """Nested plants: the copies of a smaller share are among those of a larger one; verdicts must not soften."""
    shares, milder = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1), 0
    for seed in range(draws):
        rng = np.random.default_rng([seed, 11])
        draw = privacy_plants.divide(users, rng, n_fresh=N_FRESH)
        clean, sequence = publishable(draw.fresh, draw), []
        order = rng.permutation(clean.shape[0])
        for share in shares:
            n_copies = round(share * clean.shape[0])
            planted = vstack([draw.train[:n_copies], clean[n_copies:]]).tocsr()[order]
            sequence.append(verdicts(judge(planted, draw, seed)))
        for gate in sequence[0]:
            levels = [SEVERITY[step[gate]] for step in sequence]
            milder += levels != sorted(levels)
        print(seed, [step["statistical"].value for step in sequence], f"softened so far: {milder}", flush=True)


def cost(title: str, users: csr_matrix, n_synthetic: int, n_real: int) -> None:
    rng = np.random.default_rng(0)
    order = rng.permutation(users.shape[0])
    real = users[order[:n_real]]
    n_train = int(n_real * 0.875)
    draw = Draw(real[:n_train], real[n_train:], users[rng.integers(users.shape[0], size=n_synthetic)])
    began, cpu = time.perf_counter(), time.process_time()
    judge(draw.fresh, draw, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"\n{title}: {wall:.1f} s ({cpu:.1f} s of processor), peak {peak:,.0f} MiB", flush=True)


def cases(folder: Path, draws: int) -> dict[str, Callable[[], None]]:
    adm, ml1m = privacy_data.digital_music(folder), privacy_data.movielens_1m(folder)
    ml100k = privacy_data.movielens_100k(folder)
    few = max(draws // 4, 1)
    return {
        "cost-adm": lambda: cost("ADM, 10,000 x 10,000 users", adm, 10_000, 10_000),
        "cost-ml1m": lambda: cost("ML-1M, 5,949 x 5,949 users", ml1m, 5_949, 5_949),
        "fresh-adm": lambda: tabulate("ADM, fresh real users", adm, fresh, draws),
        "fresh-ml1m": lambda: tabulate("ML-1M, fresh real users", ml1m, fresh, draws),
        "copies-2-adm": lambda: tabulate("ADM, 2 % verbatim copies", adm, copies(0.02), few),
        "copies-1-adm": lambda: tabulate("ADM, 1 % verbatim copies", adm, copies(0.01), few),
        "near-3-adm": lambda: tabulate("ADM, 3 % near copies", adm, copies(0.03, changed=0.1), few),
        "near-3-ml1m": lambda: tabulate("ML-1M, 3 % near copies", ml1m, copies(0.03, changed=0.1), few),
        **{
            f"padded-{times}-{percent}-{name}": partial(
                tabulate,
                f"{title}, {percent} % records among {times} times as many items",
                users,
                padded(percent / 100, times),
                max(few // 5, 1),
            )
            for name, title, users in (("adm", "ADM", adm), ("ml1m", "ML-1M", ml1m))
            for times in (3, 5)
            for percent in (2, 5, 10)
        },
        "popularity-adm": lambda: tabulate("ADM, popularity sampling", adm, popularity, few),
        "popularity-ml1m": lambda: tabulate("ML-1M, popularity sampling", ml1m, popularity, few),
        "dozen-adm": lambda: tabulate("ADM, 12 complete records of 7,434", adm, a_dozen_of_many, max(few // 2, 1)),
        "dozen-ml1m": lambda: tabulate("ML-1M, 12 complete records of 4,164", ml1m, a_dozen_of_many, max(few // 2, 1)),
        "edge-adm": lambda: tabulate("ADM, pairs at the edge", adm, edge_pairs, max(few // 2, 1)),
        "edge-other-adm": lambda: tabulate(
            "ADM, pairs of an item at the edge and another", adm, edge_and_other, max(few // 2, 1)
        ),
        "pairs-adm": lambda: tabulate("ADM, rarest pairs", adm, privacy_plants.with_rarest_pairs, max(few // 5, 1)),
        "pairs-ml1m": lambda: tabulate("ML-1M, rarest pairs", ml1m, privacy_plants.with_rarest_pairs, max(few // 5, 1)),
        "vae-ml100k": lambda: tabulate(
            "ML-100k, overfitted VAE", ml100k, lambda draw, _: privacy_plants.overfitted_vae(draw, seed=0), 3
        ),
        "more-adm": lambda: more_copies(adm, max(few // 10, 1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data sets")
    parser.add_argument("--draws", type=int, default=200, help="draws of the false-alarm cases; the others a quarter")
    parser.add_argument("--only", nargs="*", help="names of cases")
    arguments = parser.parse_args()
    known = cases(arguments.data, arguments.draws)
    if unknown := set(arguments.only or ()) - set(known):
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for name in arguments.only or known:
        known[name]()


if __name__ == "__main__":
    main()
