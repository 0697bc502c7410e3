from functools import partial

import pytest
import torch
from torch import nn

from sdrm_core.errors import TrainingError
from sdrm_core.model.devices import Workers
from sdrm_core.model.networks import average_weights
from sdrm_core.model.training import Progress, gradient_step


def one_weight(value=0.0):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def progress_of(network, *, higher_is_better, patience_epochs=2):
    return Progress(
        network,
        stage="stage",
        max_epochs=10,
        patience_epochs=patience_epochs,
        higher_is_better=higher_is_better,
        on_epoch=lambda _: None,
    )


@pytest.mark.parametrize(("higher_is_better", "results"), [(True, [1, 3, 2, 3]), (False, [3, 1, 2, 1])])
def test_training_ends_when_patience_is_spent_and_the_best_weights_return(higher_is_better, results):
    network = one_weight()
    progress = progress_of(network, higher_is_better=higher_is_better)
    goes_on = []
    for epoch, result in enumerate(results, start=1):
        network.weight.data.fill_(epoch)
        goes_on.append(progress.end_epoch([1.0, 2.0], validation=float(result)))
    assert goes_on == [True, True, True, False]
    progress.restore_best()
    assert network.weight.item() == 2
    assert not network.training
    last = progress.reports[-1]
    assert (last.epoch, last.of_epochs, last.loss, last.best) == (4, 10, 1.5, results[1])


def test_weights_before_any_training_return_where_none_are_better():
    network = one_weight()
    progress = progress_of(network, higher_is_better=False)
    progress.start(validation=1.0)
    network.weight.data.fill_(1)
    assert progress.end_epoch([1.0], validation=2.0)
    assert not progress.end_epoch([1.0], validation=1.5)
    progress.restore_best()
    assert network.weight.item() == 0
    assert [report.best for report in progress.reports] == [1.0, 1.0]


def test_a_validation_result_that_is_not_finite_is_an_error():
    with pytest.raises(TrainingError, match=r"stage: the validation result is nan in epoch 1"):
        progress_of(one_weight(), higher_is_better=True).end_epoch([1.0], validation=float("nan"))


def scaled(network, factor):
    return (network.weight * factor).sum()


def step(network, losses):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with Workers(torch.device("cpu")) as workers:
        return gradient_step(losses, optimizer, workers=workers, stage="stage", epoch=7)


def test_a_step_follows_the_sum_of_the_pieces_gradients():
    network = one_weight(1.0)
    loss = step(network, [partial(scaled, network, 2.0), partial(scaled, network, 3.0)])
    assert loss == 5.0
    assert network.weight.item() == pytest.approx(1.0 - 0.1 * 5.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_down_a_loss_that_is_not_finite_leaves_the_weights_alone(bad):
    network = one_weight(1.0)
    with pytest.raises(TrainingError, match=r"stage: the training loss is (nan|inf) in epoch 7"):
        step(network, [partial(scaled, network, 1.0), partial(scaled, network, bad)])
    assert network.weight.item() == 1.0


def test_averaging_moves_a_share_of_the_way():
    average, network = one_weight(0.0), one_weight(10.0)
    average_weights(average, network, decay=0.9)
    assert average.weight.item() == pytest.approx(1.0)
