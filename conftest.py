"""Settings of all tests, wherever they are."""

import os

from hypothesis import settings

# Tests run in parallel processes; one BLAS thread in each keeps them from fighting over the processors. The libraries
# read this when NumPy is first imported, which is after this file.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "agg")

# The same examples in every run, so that a failure is the change's and not the day's. To look for new ones:
# hatch run test --hypothesis-profile=explore
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("same")
