"""Adapters of the conditional random field."""

import numpy as np

from golden import Case, Result, adapter
from spago import ag, nn


def _crf(case: Case) -> nn.CRF:
    """The layer; the reference keeps all its scores in one matrix, whose row and column 0 are the boundary."""
    scores = case.params["transition_scores"]
    crf = nn.CRF(case.config["size"], dtype=scores.dtype)
    crf.load_state_dict(
        {"transitions": scores[1:, 1:], "start_transitions": scores[0, 1:], "end_transitions": scores[1:, 0]}
    )
    return crf


@adapter("crf", "crf_negative_log_loss")
def _negative_log_loss(case: Case) -> Result:
    crf, emissions = _crf(case), ag.var(case.inputs[0], requires_grad=True)
    loss = crf.negative_log_likelihood(emissions, case.config["target"])
    assert case.output_grads is not None
    loss.backward(case.output_grads[0])
    gradient = np.zeros_like(case.params["transition_scores"])
    gradient[1:, 1:] = crf.transitions.grad
    gradient[0, 1:] = crf.start_transitions.grad
    gradient[1:, 0] = crf.end_transitions.grad
    return Result([loss.value], [emissions.grad], {"transition_scores": gradient})


@adapter("crf", "crf_decode")
def _decode(case: Case) -> Result:
    paths, scores = _crf(case).viterbi(case.inputs[0])
    return Result([paths[0], scores[0]])
