"""Linear regression: the line y = 3x + 1 is found from points on it, one graph for each point."""

import numpy as np

from spago import losses, nn, optim
from spago.mat.rand import LockedRand

xs = np.arange(1000).reshape(-1, 1) / 1000
ys = 3 * xs + 1

model = nn.Linear(1, 1, rng=LockedRand(42), dtype=np.float64)
optimizer = optim.SGD(model, learning_rate=0.001, momentum=0.9, nesterov=True)

for _ in range(100):
    for x, y in zip(xs, ys, strict=True):
        loss = losses.mse(model(x), y, scale=0.5)
        loss.backward()
    optimizer.step()

weight, bias = model.parameters()
print(f"W: {weight.value.item():.2f} | B: {bias.value.item():.2f}")
