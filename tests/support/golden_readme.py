"""Adapters of the three examples of the README."""

import numpy as np

from golden import Case, Result, adapter
from golden_dot import as_reference
from spago import ag, losses, mat, nn, optim
from spago.ag.graph import Graph
from spago.mat.rand import LockedRand


@adapter("readme", "example_1")
def _addition(case: Case) -> Result:
    a, b = (ag.var(x, requires_grad=True) for x in case.inputs)
    c = a + b
    c.backward(0.5)
    text = f"c = {mat.format(c.value)} ({c.dtype})\nga = {mat.format(a.grad)}\ngb = {mat.format(b.grad)}\n"
    return Result(outputs=[c.value], input_grads=[a.grad, b.grad], text=text)


@adapter("readme", "example_2")
def _perceptron(case: Case) -> Result:
    x, w, b = (ag.var(value, name=name) for value, name in zip(case.inputs, "xwb", strict=True))
    y = ag.sigmoid(w * x + b)
    # The reference's product of two matrices of one element.
    return Result(outputs=[y.value], text=as_reference(Graph(y), {}))


@adapter("readme", "example_3")
def _regression(case: Case) -> Result:
    c = case.config
    model = nn.Linear(1, 1, rng=LockedRand(c["seed"]), dtype=np.float64)
    w, b = model.parameters()
    np.testing.assert_array_equal(w.value.item(), case.params["w"])
    optimizer = optim.SGD(model, learning_rate=c["lr"], momentum=c["momentum"], nesterov=c["nesterov"])
    listed = case.decoded("outputs")[4]
    xs = np.arange(c["examples"]).reshape(-1, 1) / c["examples"]
    ys = c["slope"] * xs + c["intercept"]
    seen: list[list[float]] = []
    after: list[tuple[float, float]] = []
    for epoch in range(c["epochs"]):
        seen.append([])
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            loss = losses.mse(model(x), y, scale=0.5)
            loss.backward()
            if i % c["every"] == 0:
                seen[-1].append(loss.item())
        optimizer.step()
        if epoch in listed:
            after.append((w.value.item(), b.value.item()))
    weights, biases = np.array(after).T
    text = f"\nW: {w.value.item():.2f} | B: {b.value.item():.2f}\n\n"
    outputs = [np.array(seen[0]), np.array(seen[-1]), w.value, b.value, listed, weights, biases]
    return Result(outputs=outputs, text=text)
