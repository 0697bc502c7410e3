"""The algorithm as the paper's public code runs it, including its defects; for comparison only.

Paper: Lilienthal et al. 2024, "Multi-Resolution Diffusion for Privacy-Sensitive Recommender Systems". Reproduced on
purpose:

- the noise of ``T`` steps of at most 0.02 leaves much of the latent, yet sampling starts at N(0, I);
- the forward noise is scaled by ``1 - alpha_bar``, while the reverse process assumes ``sqrt(1 - alpha_bar)``;
- latents are not standardised; the loss compares finite differences of the network's output, taken as the score,
  with the noise divided by the variance of the batch: the output itself stays near zero and does not predict the noise;
- the hidden layers are one layer applied repeatedly, and dropout stays on while sampling;
- one threshold over all users' logits makes the matrix as sparse as the training data: a user may have no items,
  another user hundreds, and item popularity is not controlled.

Not reproduced: the public code counts ratings below the threshold as positives and in the target density (such ratings
are removed before this code); it uses no seed (this code does); and it takes the threshold as a quantile of a dense
matrix of all users and items (here the same cells are found block by block). The paper's M-SDRM differs from F-SDRM,
which is implemented here, mainly in speed. Any item may be published. The network's width, its dropout rate and the
exact loss are not on record here and were chosen for this code; almost nothing is learned with them, as with the
original.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional

from sdrm_core.arms.arm import require_users
from sdrm_core.arms.item_vectors import descend, dropped, gaussian
from sdrm_core.arms.storing import load_arm, save_arm
from sdrm_core.config import ArmName, PipelineConfig, VaeConfig
from sdrm_core.data.matrix import binary_matrix
from sdrm_core.model.networks import initialise
from sdrm_core.model.pretraining import REPEAT_INPUT, train_vae
from sdrm_core.model.training import EpochReport, OnEpoch
from sdrm_core.model.users import block_users
from sdrm_core.model.vae import MultiVAE, encode_users, sample_posterior
from sdrm_core.model.weights import load_into
from sdrm_core.randomness import numpy_stream, torch_stream
from sdrm_core.threads import one_thread

_STAGE = "published-diffusion"
_FIRST_BETA, _LAST_BETA = 1e-4, 0.02
_VAE_BETA, _ANNEAL_STEPS = 0.2, 20_000
_VAE_MAX_EPOCHS, _VAE_PATIENCE_EPOCHS = 300, 20
_HIDDEN_UNITS, _STEP_FEATURES, _DROPOUT = 256, 32, 0.1


class Settings(NamedTuple):
    """The paper's best settings for a data set."""

    batch_users: int
    learning_rate: float
    epochs: int
    hidden_layers: int
    steps: int
    vae_batch_users: int
    vae_hidden_units: int
    latent_dim: int
    vae_learning_rate: float
    noise_multiplier: float


_BEST_TRIALS = {
    "ml-100k": Settings(550, 2.1e-5, 265, 2, 83, 780, 930, 830, 6e-4, 1.0),
    "alb": Settings(370, 3.2e-5, 5, 2, 68, 420, 70, 20, 4.2e-3, 0.5),
    "ml-1m": Settings(720, 5.9e-5, 395, 2, 23, 190, 600, 150, 6.6e-3, 0.5),
    "adm": Settings(930, 1e-6, 60, 1, 163, 380, 210, 160, 1.1e-3, 0.3),
}
_ELSEWHERE = _BEST_TRIALS["ml-1m"]


class _Network(nn.Module):
    """The VAE, and the network that should separate noise from signal in its latents."""

    signal: Tensor

    def __init__(self, n_items: int, *, settings: Settings, vae: MultiVAE) -> None:
        super().__init__()
        self.settings, self.n_items, self.vae = settings, n_items, vae
        self.entry = nn.Linear(settings.latent_dim + _STEP_FEATURES, _HIDDEN_UNITS)
        self.repeated = nn.Linear(_HIDDEN_UNITS, _HIDDEN_UNITS)
        self.exit = nn.Linear(_HIDDEN_UNITS, settings.latent_dim)
        betas = torch.linspace(_FIRST_BETA, _LAST_BETA, settings.steps)
        self.register_buffer("signal", torch.cat([torch.ones(1), (1 - betas).cumprod(0)]), persistent=False)

    def forward(self, noisy: Tensor, step: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the output (n, latent_dim) for noisy latents at ``step`` (n,); dropout is always on."""
        frequencies = torch.logspace(0, -4, _STEP_FEATURES // 2, device=noisy.device)
        angles = step.unsqueeze(1) * frequencies
        features = torch.relu(self.entry(torch.cat([noisy, angles.sin(), angles.cos()], dim=1)))
        for _ in range(self.settings.hidden_layers):
            features = dropped(torch.relu(self.repeated(features)), share=_DROPOUT, generator=generator)
        output: Tensor = self.exit(features)
        return output

    def loss(self, latents: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the mean squared error of the output's finite differences; the target is -noise / batch variance."""
        draw = torch.randint(self.settings.steps, (len(latents),), generator=generator, device=latents.device)
        signal = self.signal[draw + 1].unsqueeze(1)
        noise = gaussian(latents, generator=generator)
        noisy = signal.sqrt() * latents + (1 - signal) * noise
        (differences,) = torch.gradient(self(noisy, draw + 1, generator=generator), dim=1)
        return functional.mse_loss(differences, -noise / noisy.var())

    def reverse(self, n_users: int, *, generator: torch.Generator) -> Tensor:
        """Return (n_users, latent_dim) latents, by the standard reverse process from N(0, I)."""
        device = self.signal.device
        latents = torch.randn(n_users, self.settings.latent_dim, generator=generator, device=device)
        for step in range(self.settings.steps, 0, -1):
            kept = self.signal[step] / self.signal[step - 1]
            output = self(latents, torch.full((n_users,), step, device=device), generator=generator)
            latents = (latents - (1 - kept) / (1 - self.signal[step]).sqrt() * output) / kept.sqrt()
            if step > 1:
                noise = gaussian(latents, generator=generator)
                latents = latents + self.settings.noise_multiplier * (1 - kept).sqrt() * noise
        return latents


@dataclass(frozen=True, eq=False)
class FittedPublished:
    """The trained networks and the density of the training users.

    Attributes:
        network: frozen.
        items_per_user: mean of the training users; sets the threshold.
    """

    network: _Network
    items_per_user: float

    @one_thread()
    @torch.no_grad()
    def sample(self, n_users: int, *, seed: int) -> csr_matrix:
        """Return (n_users, n_items) users, together as dense as the training users; a single user may be empty."""
        n_items = self.network.n_items
        keys = _highest_cells(self._logits(n_users, seed=seed), n_cells=round(self.items_per_user * n_users))
        return binary_matrix(keys % n_items, np.bincount(keys // n_items, minlength=n_users), n_items=n_items)

    def _logits(self, n_users: int, *, seed: int) -> Iterator[np.ndarray]:
        """Yield (n_block_users, n_items) logits."""
        network, size = self.network, block_users(self.network.n_items)
        for start in range(0, n_users, size):
            generator = torch_stream(seed, "published", start // size, device=network.signal.device)
            latents = network.reverse(size, generator=generator)[: n_users - start]
            yield network.vae.decode(latents).cpu().numpy()

    def save(self, folder: Path) -> None:
        """Write weights and items per user."""
        about = {"n_items": self.network.n_items, "settings": list(self.network.settings)}
        arrays = {"items_per_user": torch.tensor([self.items_per_user], dtype=torch.float64)}
        save_arm(folder, PublishedArm.name, arrays=arrays, network=self.network.state_dict(), **about)


def _highest_cells(blocks: Iterator[np.ndarray], *, n_cells: int) -> np.ndarray:
    """Return the ascending keys, row * n_items + item, of the ``n_cells`` highest cells of all blocks."""
    parts = [(np.empty(0, np.float32), np.empty(0, np.int64))]
    before, threshold = 0, -np.inf
    for block in blocks:
        flat = block.ravel()
        above = np.flatnonzero(flat > threshold)
        parts.append((flat[above], before + above))
        before += len(flat)
        if sum(len(values) for values, _ in parts) > 2 * n_cells:  # after each block it would be quadratic in users
            parts = [_highest_of(parts, n_cells=n_cells)]
            threshold = parts[0][0].min()
    _, keys = _highest_of(parts, n_cells=n_cells)
    return np.sort(keys)


def _highest_of(parts: list[tuple[np.ndarray, np.ndarray]], *, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values and keys of the ``n_cells`` highest values of all parts, or of all if there are no more."""
    values, keys = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if len(values) <= n_cells:
        return values, keys
    highest = np.argpartition(-values, n_cells - 1)[:n_cells]
    return values[highest], keys[highest]


class PublishedArm:
    """F-SDRM as its public code runs it, with the paper's best settings for the data set named like the run's."""

    name: ClassVar[ArmName] = "published"
    family: ClassVar[str] = name

    @one_thread()
    def fit(
        self,
        train: csr_matrix,
        validation: csr_matrix,
        *,
        config: PipelineConfig,
        device: torch.device,
        on_epoch: OnEpoch,
    ) -> FittedPublished:
        """Train the VAE, then the network on its latents; data sets not in the paper use the settings of ML-1M."""
        require_users(train=train, validation=validation)
        settings = _BEST_TRIALS.get(config.dataset, _ELSEWHERE)
        vae_config = _vae_config(settings, n_users=train.shape[0])
        vae, _ = train_vae(
            train,
            validation,
            config=vae_config,
            seed=config.seed,
            device=device,
            on_epoch=on_epoch,
            objective=REPEAT_INPUT,
        )
        network = _Network(train.shape[1], settings=settings, vae=vae)
        weights = torch_stream(config.seed, _STAGE, "weights")
        for layer in (network.entry, network.repeated, network.exit):
            initialise(layer, generator=weights)
        network.to(device)
        _train(network, encode_users(vae, train), config.seed, on_epoch)
        return FittedPublished(network, train.nnz / train.shape[0])

    def load(self, folder: Path, *, device: torch.device) -> FittedPublished:
        """Return what ``save`` wrote."""
        arrays, weights, about, path = load_arm(folder, self.name)
        settings = Settings(*about["settings"])
        vae = MultiVAE(about["n_items"], config=_vae_config(settings, n_users=1))
        network = _Network(about["n_items"], settings=settings, vae=vae)
        load_into(network, weights, path=path)
        return FittedPublished(network.to(device), float(arrays["items_per_user"][0]))


def _vae_config(settings: Settings, *, n_users: int) -> VaeConfig:
    epoch_steps = -(-n_users // settings.vae_batch_users)
    return VaeConfig(
        hidden_units=settings.vae_hidden_units,
        decoder_units=settings.vae_hidden_units,
        latent_dim=settings.latent_dim,
        beta=_VAE_BETA,
        item_precision=0.0,
        anneal_epochs=_ANNEAL_STEPS // epoch_steps,
        learning_rate=settings.vae_learning_rate,
        batch_users=settings.vae_batch_users,
        epoch_steps=epoch_steps,
        max_epochs=_VAE_MAX_EPOCHS,
        patience_epochs=_VAE_PATIENCE_EPOCHS,
    )


def _train(network: _Network, posteriors: tuple[Tensor, Tensor], seed: int, on_epoch: OnEpoch) -> None:
    """Train for the published number of epochs, without early stopping, then freeze."""
    settings, (mean, log_variance) = network.settings, posteriors
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)
    noise, shuffler = torch_stream(seed, _STAGE, "noise", device=mean.device), numpy_stream(seed, _STAGE, "batches")
    best = float("inf")
    for epoch in range(1, settings.epochs + 1):
        order, losses = torch.from_numpy(shuffler.permutation(len(mean))).to(mean.device), []
        for users in torch.split(order, settings.batch_users):
            latents = sample_posterior(mean[users], log_variance[users], generator=noise)
            losses.append(descend(network.loss(latents, generator=noise), optimizer, stage=_STAGE, epoch=epoch))
        loss = float(np.mean(losses))
        best = min(best, loss)
        on_epoch(
            EpochReport(stage=_STAGE, epoch=epoch, of_epochs=settings.epochs, loss=loss, validation=loss, best=best)
        )
    network.eval().requires_grad_(False)
