"""A perceptron, y = σ(w·x + b), as a graph in the DOT language.

To see it: python examples/perceptron.py | dot -Tpng -o g.png
"""

from spago import ag, graphviz

x = ag.var(-0.8, name="x")
w = ag.var(0.4, requires_grad=True, name="w")
b = ag.var(-0.2, requires_grad=True, name="b")

y = ag.sigmoid(w * x + b)

print(graphviz.to_dot(y, names={y: "y"}), end="")
