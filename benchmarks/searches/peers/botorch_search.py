"""BoTorch's qLogNEHVI with the settings of its tutorial on several noisy objectives and parallel trials.

2 (d + 1) Sobol' points; a ``SingleTaskGP`` for each objective with its defaults; 128 Monte Carlo samples, 10 restarts,
512 raw samples; pending trials as ``X_pending``; the reference point that ``infer_reference_point`` gives. Every factor
is scaled to [0, 1] and rounded to the nearest place, categories (of which the tables have pairs) too.
"""

import importlib.metadata

import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.mlls.sum_marginal_log_likelihood import SumMarginalLogLikelihood
from json_lines import Place, Task, serve

torch.set_default_dtype(torch.float64)


class BoTorchSearch:
    """The loop of the tutorial, asked and told."""

    version = f"botorch {importlib.metadata.version('botorch')}"

    def __init__(self, task: Task) -> None:
        torch.manual_seed(task.seed)
        self._task = task
        self._steps = torch.tensor([dimension.size - 1.0 for dimension in task.dimensions])
        self._sobol = torch.quasirandom.SobolEngine(len(task.dimensions), scramble=True, seed=task.seed)
        self._points: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}  # to be maximised

    def ask(self, number: int) -> Place:
        """The next point, on the grid."""
        is_initial = number < 2 * (len(self._steps) + 1) or len(self._values) < 2
        point = self._sobol.draw(1, dtype=torch.float64)[0] if is_initial else self._guided()
        places = (point * self._steps).round()
        self._points[number] = places / self._steps
        return {dimension.name: int(at) for dimension, at in zip(self._task.dimensions, places, strict=True)}

    def _guided(self) -> torch.Tensor:
        done = torch.stack([self._points[number] for number in self._values])
        pending = [point for number, point in self._points.items() if number not in self._values]
        values = torch.stack([*self._values.values()])
        models = [SingleTaskGP(done, column[:, None]) for column in values.T]
        model = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=infer_reference_point(values[is_non_dominated(values)]),
            X_baseline=done,
            X_pending=torch.stack(pending) if pending else None,
            prune_baseline=True,
            sampler=SobolQMCNormalSampler(torch.Size([128])),
        )
        bounds = torch.stack([torch.zeros_like(self._steps), torch.ones_like(self._steps)])
        options = {"batch_limit": 5, "maxiter": 200}
        candidates, _ = optimize_acqf(acquisition, bounds, q=1, num_restarts=10, raw_samples=512, options=options)
        return candidates[0].detach()

    def tell(self, number: int, values: list[float]) -> None:
        """The result of that point."""
        self._values[number] = -torch.tensor(self._task.losses(values))


if __name__ == "__main__":
    serve(BoTorchSearch)
