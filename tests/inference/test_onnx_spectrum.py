"""The Fourier transform of the exported graph is numpy's."""

import numpy as np
import pytest
import torch

from ser.inference.onnx_spectrum import PowerSpectrum


@pytest.mark.parametrize("n_fft", [2, 62, 400, 1000, 1024, 2048])
def test_power_is_that_of_numpy(n_fft):
    frames = np.random.default_rng(0).normal(size=(3, n_fft)).astype(np.float32)
    expected = np.abs(np.fft.rfft(frames)) ** 2
    power = PowerSpectrum(n_fft)(torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(power, expected, atol=1e-5 * expected.mean())


def test_a_tone_is_at_its_frequency_and_far_below_elsewhere():
    tone = np.cos(2 * np.pi * 100 * np.arange(1024) / 1024).astype(np.float32)
    power = PowerSpectrum(1024)(torch.from_numpy(tone)[None])[0]
    assert power.argmax() == 100
    assert power[torch.arange(513) != 100].max() < 1e-12 * power[100] + 1e-6
