"""While modules are imported nobody looks for garbage, and afterwards it is as before."""

from __future__ import annotations

import gc

import pytest

from dnnmig_env.files.quick_imports import quick_imports


def test_garbage_is_looked_for_again_afterwards_if_it_was_before() -> None:
    assert gc.isenabled()
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), quick_imports():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
