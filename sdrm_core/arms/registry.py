"""All arms by name."""

from sdrm_core.arms.arm import Arm
from sdrm_core.arms.codigem import CODIGEM
from sdrm_core.arms.ctgan import CTGAN
from sdrm_core.arms.diffrec import DIFFREC
from sdrm_core.arms.popularity import PopularityArm
from sdrm_core.arms.published import PublishedArm
from sdrm_core.arms.sdrm import SdrmArm
from sdrm_core.arms.tvae import TVAE
from sdrm_core.arms.vae_prior import VaePriorArm
from sdrm_core.config import ArmName

_ALL: tuple[Arm, ...] = (
    PopularityArm(),
    VaePriorArm(),
    PublishedArm(),
    SdrmArm("sdrm_full", "full"),
    SdrmArm("sdrm_multi", "multi"),
    DIFFREC,
    CODIGEM,
    CTGAN,
    TVAE,
)

ARMS: dict[ArmName, Arm] = {arm.name: arm for arm in _ALL}
