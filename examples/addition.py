"""The sum of two variables, and what each of them contributes to it."""

from spago import ag, mat

a = ag.var(2.0, requires_grad=True)
b = ag.var(5.0, requires_grad=True)

c = a + b
print(f"c = {mat.format(c.value)} ({c.dtype})")

c.backward(0.5)
print(f"ga = {mat.format(a.grad)}")
print(f"gb = {mat.format(b.grad)}")
