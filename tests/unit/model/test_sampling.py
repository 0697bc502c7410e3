import pytest
import torch

from sdrm_core.model.sampling import reverse_process

MEAN = torch.tensor([0.3, -0.5, 0.0])
VARIANCE = torch.tensor([0.25, 1.0, 2.0])


def exact_velocity(noisy, angle, rows):
    """What a Gaussian N(MEAN, VARIANCE) makes one expect: cos * E[noise | noisy] - sin * E[latent | noisy]."""
    cos, sin = angle.cos(), angle.sin()
    surprise = (noisy - cos * MEAN) / (cos**2 * VARIANCE + sin**2)  # minus the score
    expected_noise = sin * surprise
    expected_latent = MEAN + cos * VARIANCE * surprise
    return cos * expected_noise - sin * expected_latent


def noise(n_users):
    return torch.randn(n_users, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("n_steps", "tolerance"), [(10, 0.02), (40, 0.002)])
def test_the_exact_score_of_a_gaussian_recovers_its_mean_and_variance(n_steps, tolerance):
    start = noise(20_000)
    latents = reverse_process(exact_velocity, start, steps=torch.full((20_000,), n_steps), of_steps=n_steps)
    # against the moments of these very draws, so that only the solver's error is left
    assert torch.allclose(latents.mean(dim=0), MEAN + VARIANCE.sqrt() * start.mean(dim=0), atol=tolerance)
    assert torch.allclose(latents.var(dim=0) / (VARIANCE * start.var(dim=0)), torch.ones(3), atol=tolerance)


def test_latents_that_are_standard_normal_already_are_met_in_any_number_of_steps():
    start = noise(100)
    steps = torch.arange(100) % 4 + 1
    latents = reverse_process(lambda noisy, angle, rows: torch.zeros_like(noisy), start, steps=steps, of_steps=4)
    assert torch.equal(latents, start)


def test_each_user_takes_its_own_number_of_steps_and_keeps_its_row():
    steps = torch.tensor([3, 18, 2, 7, 18, 5])
    start = noise(6)
    together = reverse_process(exact_velocity, start, steps=steps, of_steps=18)
    for row in range(6):
        alone = reverse_process(exact_velocity, start[row : row + 1], steps=steps[row : row + 1], of_steps=18)
        assert torch.allclose(together[row], alone[0], atol=1e-5)


def test_fewer_steps_keep_the_noise_of_the_angle_they_end_at():
    steps = torch.full((20_000,), 15)
    latents = reverse_process(exact_velocity, noise(20_000), steps=steps, of_steps=20)
    left = torch.tensor(torch.pi / 8)  # a quarter of the way is not gone
    expected = left.cos() ** 2 * VARIANCE + left.sin() ** 2
    assert torch.allclose(latents.mean(dim=0), left.cos() * MEAN, atol=0.03)
    assert torch.allclose(latents.var(dim=0), expected, rtol=0.05)


def test_the_network_is_told_which_rows_it_works_on():
    steps = torch.tensor([2, 6, 4])
    speeds = torch.tensor([[5.0], [-3.0], [8.0]])
    latents = reverse_process(lambda noisy, angle, rows: speeds[rows], torch.zeros(3, 1), steps=steps, of_steps=6)
    assert torch.allclose(latents, -speeds * steps.unsqueeze(1) / 6 * torch.pi / 2, atol=1e-5)


def test_users_with_fewer_steps_cost_less():
    rows_denoised = 0

    def counting(noisy, angle, rows):
        nonlocal rows_denoised
        rows_denoised += len(rows)
        return exact_velocity(noisy, angle, rows)

    reverse_process(counting, noise(3), steps=torch.tensor([2, 4, 10]), of_steps=10)
    assert rows_denoised == 2 * (2 + 4 + 10)


def test_no_users_give_no_latents():
    assert reverse_process(
        exact_velocity, torch.zeros(0, 3), steps=torch.zeros(0, dtype=torch.int64), of_steps=4
    ).shape == (0, 3)
