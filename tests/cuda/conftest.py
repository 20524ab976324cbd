"""These tests need a CUDA device, and compare in full float32."""

import os
from collections.abc import Iterator

import pytest
import torch
from helpers import cuda

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when CUDA starts: products that repeat


@pytest.fixture(autouse=True)
def _on_cuda() -> Iterator[None]:
    if not cuda.AVAILABLE:
        pytest.skip("needs a CUDA device: torch.cuda.is_available() is false")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
