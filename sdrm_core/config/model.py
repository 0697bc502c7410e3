"""Settings of the model and of the draw of synthetic users."""

import math
from typing import Self

from pydantic import Field

from sdrm_core.config.names import Resolution
from sdrm_core.config.section import Section, Share

_MIN_LATENT_DIM = 20


class VaeConfig(Section):
    """The variational autoencoder that maps users to latent vectors and back."""

    hidden_units: int = Field(300, ge=1, description="units of the encoder's one hidden layer")
    decoder_units: int = Field(
        0, ge=0, description="units of the decoder's hidden layer; 0: none, the decoder is linear"
    )
    latent_dim: int | None = Field(
        None,
        ge=1,
        description="latent dimensions; null: a third of the square root of the number of training users, "
        f"at least {_MIN_LATENT_DIM}",
    )
    dropout: Share = Field(0.5, lt=1, description="share of a user's items hidden from the encoder during training")
    beta: float = Field(0.1, ge=0, description="final weight of the KL term")
    anneal_epochs: int = Field(20, ge=0, description="epochs over which beta grows from 0")
    item_precision: float = Field(
        2.0, ge=0, description="precision of the Gaussian prior on the decoder's item vectors; 0: none"
    )
    learning_rate: float = Field(2e-3, gt=0, description="Adam's step size")
    batch_users: int = Field(256, ge=1, description="users per gradient step")
    epoch_steps: int = Field(
        100,
        ge=1,
        description="gradient steps per epoch, or one pass over the training users if that is shorter; each epoch ends "
        "with an evaluation on the validation users",
    )
    max_epochs: int = Field(200, ge=1, description="epochs, at most")
    patience_epochs: int = Field(
        15, ge=1, description="epochs without a better validation result after which training stops"
    )

    def sized_for(self, n_train_users: int) -> Self:
        """Return these settings with a number for ``latent_dim``.

        The more training users, the more dimensions the latent space can use without memorising single users. On small
        data sets twenty dimensions leak no more than fewer do, because the prior on the item vectors regularises them.
        """
        dimensions = self.latent_dim or max(_MIN_LATENT_DIM, round(math.sqrt(n_train_users) / 3))
        return self.model_copy(update={"latent_dim": dimensions})


class DiffusionConfig(Section):
    """The score-based diffusion model of the latent vectors (their coordinates: ``sdrm_core.model.schedule``)."""

    hidden_units: int = Field(64, ge=1, description="width of the residual denoiser")
    depth: int = Field(1, ge=1, description="residual blocks of the denoiser")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's peak step size")
    batch_users: int = Field(256, ge=1, description="latent vectors per gradient step")
    epoch_steps: int = Field(50, ge=1, description="gradient steps per epoch, which ends with the validation loss")
    max_epochs: int = Field(5, ge=1, description="epochs, at most")
    patience_epochs: int = Field(
        3, ge=1, description="epochs without a lower validation loss after which training stops"
    )
    ema_decay: Share = Field(0.999, lt=1, description="decay of the moving average of the weights that sampling uses")
    reverse_steps: int = Field(10, ge=2, description="steps of the reverse diffusion at full resolution")


class SamplingConfig(Section):
    """How many synthetic users are drawn, and how."""

    users: int | None = Field(None, ge=1, description="number of synthetic users; null: as many as training users")
    resolution: Resolution = Field(
        "full",
        description="full: every user goes through all steps of the reverse diffusion; multi: each user goes through a "
        "random number of them, and the remaining noise stays",
    )
    temperature: float | None = Field(
        None,
        ge=0.05,
        le=5,
        description="randomness of the draw of items. 1: as the model predicts; lower: a user's own preferences count "
        "more, which is more useful and less private; null: chosen automatically, the lowest at which privacy gates "
        "see little leakage, with validation users in place of the holdout. If these are few, some training users join "
        "them, and models that are trained without those are judged",
    )
    temperature_by_activity: bool | None = Field(
        None,
        description="true: a user's temperature is proportional to the number of items, from a quarter to four times "
        "that of a user with the median number; false: all users have the same; null: true if validation users show "
        "that people with many items leak more, but always false if the data is sparse",
    )
    doubt: float | None = Field(
        None,
        ge=0,
        description="doubt in what the decoder learned of items from few people; more is less useful and more private. "
        "0: none. With a linear decoder only. null: 0 if the temperature is given or the data is sparse; otherwise "
        "chosen with the temperature: 0 or, if the lowest temperature is not enough, 4 if that is more useful; 2 if "
        "the people are too few to hide at any temperature; at least 2 for a second attempt",
    )
    margin_rounds: int = Field(8, ge=0, description="rounds of fitting item popularity; 0: as the decoder has it")
    pair_rounds: int = Field(
        8, ge=0, description="rounds of fitting the pairs of items that small groups share; 0: as the decoder has them"
    )
    margin_users: int = Field(
        8192, ge=64, description="users drawn per round, at least; rounded up to whole blocks of sampling"
    )
    refining_rounds: int = Field(
        4,
        ge=0,
        description="rounds of fitting item popularity at the end, each to eight times as many users as training users "
        "or as many as two billion logits allow, but at least margin_users; 0: none",
    )
