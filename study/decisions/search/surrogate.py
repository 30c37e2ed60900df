"""A Gaussian process of one number, for few and noisy results (scikit-learn's, with priors on its parameters)."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

Floats = npt.NDArray[np.float64]
MAX_ITERATIONS = 40
LENGTH, LENGTH_SPREAD = -1.0, 1.0  # of the logarithm of a length scale, for one column; and its standard deviation
NOISE, NOISE_SPREAD = -4.0, 2.0  # of the logarithm of the variance of the noise


class Surrogate:
    """Matern 5/2 with a length scale for each column, and noise; parameters at the mode of their posterior.

    Args:
        columns: (results, columns), each about in [0, 1].
        values: (results,), standardised.
    """

    def __init__(self, columns: Floats, values: Floats) -> None:
        width = columns.shape[1]
        # The more columns there are, the less each is believed to matter (Hvarfner et al. 2024, arXiv:2402.02229).
        length = LENGTH + np.log(width) / 2
        means = np.array([0.0, *([length] * width), NOISE])
        spreads = np.array([1.0, *([LENGTH_SPREAD] * width), NOISE_SPREAD])
        smooth = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.full(width, np.exp(length)), (5e-2, 1e2), nu=2.5)
        kernel = smooth + WhiteKernel(np.exp(NOISE), (1e-5, 2.0))
        self._fitted = GaussianProcessRegressor(kernel, optimizer=_posterior_mode(means, spreads))
        self._set(columns, values)
        self.kernel = self._fitted.kernel_

    def _set(self, columns: Floats, values: Floats) -> None:
        self._columns, self._values = columns, values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._fitted.fit(columns, values)

    def told(self, columns: Floats, values: Floats) -> None:
        """Learns further results, with the parameters as they are."""
        self._fitted = GaussianProcessRegressor(self.kernel, optimizer=None)
        self._set(np.r_[self._columns, columns], np.r_[self._values, values])

    def predict(self, columns: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation without noise."""
        mean, deviation = self._fitted.predict(columns, return_std=True)
        noise = self.kernel.k2.noise_level
        return mean, np.sqrt(np.maximum(deviation**2 - noise, 1e-8))


def _posterior_mode(means: Floats, spreads: Floats) -> Callable[..., tuple[Floats, float]]:
    """An optimiser for scikit-learn that adds normal priors on the logarithms of the parameters."""

    def optimise(loss: Callable[..., Any], start: Floats, bounds: Floats) -> tuple[Floats, float]:
        def penalised(theta: Floats) -> tuple[float, Floats]:
            value, slope = loss(theta, eval_gradient=True)
            z = (theta - means) / spreads
            return float(value + 0.5 * z @ z), slope + z / spreads

        found = minimize(
            penalised, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS}
        )
        return found.x, float(found.fun)

    return optimise
