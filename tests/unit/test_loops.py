import importlib
import pkgutil
from functools import partial

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import sdrm_core
from sdrm_core.loops import in_blocks

MODULES = [module.name for module in pkgutil.walk_packages(sdrm_core.__path__, "sdrm_core.")]


@pytest.mark.parametrize("name", MODULES)
def test_compiled_functions_call_only_those_of_their_own_file(name):
    """Numba renews the machine code it stored when the function's file changes, and knows nothing of other files."""
    names = vars(importlib.import_module(name))
    own = [each for each in names.values() if isinstance(each, Dispatcher) and each.py_func.__module__ == name]
    called = [names.get(called) for each in own for called in each.py_func.__code__.co_names]
    assert {each.py_func.__module__ for each in called if isinstance(each, Dispatcher)} <= {name}


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_every_row_is_worked_on_once(workers):
    rows = np.zeros(10, dtype=int)

    def work(start, stop, by):
        rows[start:stop] += by

    in_blocks(work, 10, 2, block_rows=3, workers=workers)
    assert rows.tolist() == [2] * 10


def test_what_a_block_raises_is_raised_and_the_next_call_works():
    call = partial(in_blocks, block_rows=1)
    with pytest.raises(ZeroDivisionError):
        call(lambda start, stop, each: each / start, 3, 1)
    call(lambda start, stop, each: each / stop, 3, 1)
