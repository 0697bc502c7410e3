"""The fitted model: it samples any range of synthetic users, and can be saved and loaded."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import DiffusionConfig, Resolution
from sdrm_core.errors import ArtifactError
from sdrm_core.model import folder as files
from sdrm_core.model.denoiser import Denoiser
from sdrm_core.model.devices import Workers
from sdrm_core.model.draw import ItemDraw, Offsets, stack_users
from sdrm_core.model.users import UserSource, block_users
from sdrm_core.model.vae import MultiVAE
from sdrm_core.model.weights import (
    explained,
    load_into,
    load_vae,
    load_weights,
    require_catalogue,
    save_vae,
    save_weights,
)
from sdrm_core.records import Artifact

VARIANT = "sdrm"


@dataclass(frozen=True, eq=False)
class SdrmModel:
    """The fitted VAE, diffusion model and item draw.

    Attributes:
        vae: decodes latents.
        denoiser: generates latents.
        activity: (n_train_users,) the training users' numbers of items, after ``publishable_activity``.
        publishable: (n_publishable,) columns that may be drawn, ascending.
        offsets: correct the frequencies of items and item pairs.
        temperature: randomness of the item draw.
        usual_count: number of items of a user for which ``temperature`` holds exactly; None: for all users
            (``ItemDraw``).
    """

    vae: MultiVAE
    denoiser: Denoiser
    activity: np.ndarray
    publishable: np.ndarray
    offsets: Offsets
    temperature: float
    usual_count: float | None = None

    @cached_property
    def source(self) -> UserSource:
        """The source of users: their latents and numbers of items."""
        size = block_users(len(self.publishable))
        return UserSource(denoiser=self.denoiser, activity=self.activity, users_per_block=size)

    @cached_property
    def draw(self) -> ItemDraw:
        """The draw of the users' items."""
        return ItemDraw(self.vae, self.publishable, temperature=self.temperature, usual_count=self.usual_count)

    def sample(self, start: int, stop: int, *, seed: int, resolution: Resolution, batch_users: int) -> csr_matrix:
        """Generate the synthetic users [start, stop).

        User i depends only on the model, the seed, the resolution and i: any division of a range gives the same users,
        and a longer range begins with the same users as a shorter one. On the CPU the result is identical to the byte;
        on a GPU the last bit of a sum may differ with the batch.

        Args:
            start: first user, from 0.
            stop: one after the last user.
            seed: the release's seed.
            resolution: ``full`` or ``multi``.
            batch_users: users denoised together on a GPU; no effect on the CPU.

        Returns:
            (stop - start, n_items) canonical binary matrix; every user has an item, all items are publishable.
        """
        size = self.source.users_per_block
        first, last = start // size, -(-stop // size)
        stride = 1 if self.vae.device.type == "cpu" else max(1, batch_users // size)

        def draw_group(number: int) -> csr_matrix:
            return self._draw_blocks(range(number, min(number + stride, last)), seed=seed, resolution=resolution)

        with Workers(self.vae.device) as workers:
            groups = workers.map(draw_group, range(first, last, stride))
        users = stack_users(groups, n_items=self.vae.n_items)
        return users[start - first * size : stop - first * size]

    @torch.no_grad()
    def _draw_blocks(self, numbers: range, *, seed: int, resolution: Resolution) -> csr_matrix:
        parts = [
            self.draw(
                self.vae.decoder_features(block.latents),
                counts=block.counts,
                offsets=self.offsets,
                generator=block.generator,
            )
            for block in self.source.blocks(numbers, seed=seed, resolution=resolution)
        ]
        return stack_users(parts, n_items=self.vae.n_items)

    def shards(self, n_users: int, *, about: int) -> list[tuple[int, int]]:
        """Return ranges [start, stop) of about ``about`` users each that together cover ``n_users``.

        They end at block boundaries, unless a block is larger than ``about``; then a block that two shards share is
        generated twice.
        """
        size = self.source.users_per_block
        stride = about // size * size or about
        return [(start, min(start + stride, n_users)) for start in range(0, n_users, stride)]

    def save(self, folder: Path, *, item_ids: pa.Array) -> tuple[Artifact, ...]:
        """Write the model and the item ids of its columns, as files without pickle.

        Args:
            folder: created if needed; a model already there is replaced, its description last.
            item_ids: (n_items,) the source's ids, in column order.

        Returns:
            The files written, ``model.json`` last.
        """
        items = files.write_items(folder, item_ids)
        diffusion = {"kind": "diffusion", "config": self.denoiser.config.model_dump()}
        draw = {"kind": "draw", "taste_temperature": self.temperature, "usual_count": self.usual_count}
        tensors = self.offsets.tensors()
        tensors["publishable"] = torch.from_numpy(self.publishable)
        tensors["activity"] = torch.from_numpy(self.activity)
        written = (
            items,
            save_vae(self.vae, folder / files.VAE, item_digest=items.sha256),
            save_weights(
                folder / files.DIFFUSION, self.denoiser.state_dict(), about={**diffusion, "item_digest": items.sha256}
            ),
            save_weights(folder / files.DRAW, tensors, about={**draw, "item_digest": items.sha256}),
        )
        return (*written, files.write_description(folder, written, about=self._description()))

    def _description(self) -> dict[str, object]:
        return {
            "variant": VARIANT,
            "config": {"vae": self.vae.config.model_dump(), "diffusion": self.denoiser.config.model_dump()},
            "temperature": self.temperature,
            "temperature_by_activity": self.usual_count is not None,
            "sizes": {
                "items": self.vae.n_items,
                "publishable_items": len(self.publishable),
                "train_users": len(self.activity),
                "latent_dim": self.denoiser.latent_dim,
            },
        }

    @classmethod
    def load(cls, folder: Path, *, device: torch.device) -> "SdrmModel":
        """Return the model that ``save`` wrote, after checking the digest of each file.

        Raises:
            ArtifactError: a file is missing, damaged, changed or of another model.
        """
        description = files.read_description(folder)
        variant = description.get("variant", description.get("arm"))  # ``save_arm`` writes the key "arm"
        if variant != VARIANT:
            raise ArtifactError(f"{folder} holds a model of variant {variant!r}; {VARIANT!r} was expected")
        files.model_file(folder, files.ITEMS)  # not needed here, but a model without it cannot be used
        item_digest = description["files"][files.ITEMS]
        vae = load_vae(files.model_file(folder, files.VAE), item_digest=item_digest, device=device)
        path = files.model_file(folder, files.DIFFUSION)
        weights, about = load_weights(path)
        require_catalogue(about, item_digest=item_digest, path=path)
        with explained(path):
            denoiser = Denoiser(vae.latent_dim, config=DiffusionConfig.model_validate(about["config"]))
        load_into(denoiser, weights, path=path)
        path = files.model_file(folder, files.DRAW)
        draw, about = load_weights(path)
        require_catalogue(about, item_digest=item_digest, path=path)
        with explained(path, missing="tensor"):
            return cls(
                vae=vae,
                denoiser=denoiser.to(device),
                activity=draw["activity"].numpy(),
                publishable=draw["publishable"].numpy(),
                offsets=Offsets.from_tensors(draw, device=device),
                temperature=about["taste_temperature"],
                usual_count=about["usual_count"],
            )
