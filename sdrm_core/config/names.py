"""Names that settings choose from."""

from typing import Literal

Resolution = Literal["full", "multi"]
JudgeName = Literal["popularity", "svd", "ease", "ials", "mlp", "neumf"]
ArmName = Literal[
    "popularity", "vae_prior", "published", "sdrm_full", "sdrm_multi", "diffrec", "codigem", "ctgan", "tvae"
]
PrivacyGate = Literal[
    "hygiene",
    "k_anonymous_items",
    "unique_copies",
    "near_copies",
    "closer_to_train",
    "membership",
    "rare_pairs",
    "completion",
    "dissimilarity",
]
