"""The averages of the gradient and of its square."""

import numpy as np

from spago.mat import Array


def update_moments(m: Array, v: Array, g: Array, betas: tuple[float, float], a: Array) -> None:
    """Update m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g², computing in a."""
    beta1, beta2 = betas
    m *= beta1
    m += np.multiply(g, 1 - beta1, out=a)
    np.multiply(g, g, out=a)
    a *= 1 - beta2
    v *= beta2
    v += a
