import pytest
import torch

from sdrm_core.errors import ConfigError
from sdrm_core.model.devices import Workers, resolve_device

CPU = torch.device("cpu")


def test_cpu_is_the_cpu():
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_auto_falls_back_to_the_cpu_and_cuda_is_refused_without_a_gpu():
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match=r"compute\.device"):
        resolve_device("cuda")


def fail(number):
    raise ArithmeticError(number)


def test_threads_are_restored_even_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ArithmeticError, match=r"^0$"), Workers(CPU) as workers:
        workers.map(fail, range(20))
    assert torch.get_num_threads() == before


def test_results_come_in_order_each_from_one_thread():
    with Workers(CPU) as workers:
        results = workers.map(lambda number: (number, torch.get_num_threads()), range(20))
    assert results == [(number, 1) for number in range(20)]
