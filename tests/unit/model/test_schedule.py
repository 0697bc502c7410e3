import math

import pytest
import torch

from sdrm_core.model.schedule import NOISE_ANGLE, add_noise, grid_angle, training_angles, velocity


def generator():
    return torch.Generator().manual_seed(5)


def two_points(n, *, generator):
    """Data of mean 0 and variance 1 as far from normal as can be: its kurtosis is 1, a normal's is 3."""
    return torch.where(torch.rand(n, 1, generator=generator) < 0.5, -1.0, 1.0)


def kurtosis(values):
    return (values**4).mean() / (values**2).mean() ** 2


def test_the_forward_process_keeps_unit_variance_and_ends_at_standard_normal_noise():
    g = generator()
    latents, noise = two_points(100_000, generator=g), torch.randn(100_000, 1, generator=g)
    for angle in torch.linspace(0, NOISE_ANGLE, 9):
        assert abs(add_noise(latents, angle=angle.reshape(1, 1), noise=noise).var() - 1) < 0.02
    end = add_noise(latents, angle=torch.tensor([[NOISE_ANGLE]]), noise=noise)
    assert torch.allclose(end, noise, atol=1e-6), "nothing of the latents may be left"
    assert abs(kurtosis(end) - 3) < 0.1


def test_the_forward_process_begins_at_the_data():
    g = generator()
    latents = two_points(100, generator=g)
    assert torch.equal(add_noise(latents, angle=torch.zeros(1, 1), noise=torch.randn(100, 1, generator=g)), latents)


def test_velocity_is_the_derivative_of_the_forward_process():
    latents, noise = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 3.0]])
    angle, h = torch.tensor([[0.7]], dtype=torch.float64), 1e-6
    after, before = (add_noise(latents, angle=angle + sign * h, noise=noise) for sign in (1, -1))
    assert torch.allclose((after - before) / (2 * h), velocity(latents, angle=angle, noise=noise), atol=1e-6)


def test_the_grid_runs_evenly_from_noise_to_data():
    assert [grid_angle(step, of_steps=2) for step in (0, 1, 2)] == [NOISE_ANGLE, math.pi / 4, 0]
    assert grid_angle(0.5, of_steps=5) == pytest.approx(0.45 * math.pi)


def test_training_angles_cover_the_process_and_repeat_with_their_generator():
    first, second = (training_angles(1000, generator=generator()) for _ in range(2))
    assert torch.equal(first, second)
    assert first.min() < 0.01 * NOISE_ANGLE
    assert 0.99 * NOISE_ANGLE < first.max() <= NOISE_ANGLE
