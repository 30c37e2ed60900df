"""Models of a study's front in MLflow: with signature and input example, tied to the run of their trial."""

import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from study.record.journal import TrialRecord
from study.record.trial_folder import trial_folder
from study.tracking.runs import UID_TAG
from study.tracking.study_runs import StudyRuns
from study.tracking.trial_runs import points_of

MODEL_NAME, MODEL_TAG, REGISTERED_TAG = "model", "model.id", "model.registered"
MOST_MODELS = 20  # in a call: each takes a second or more


def log_models(runs: StudyRuns, registered_name: str | None, say: Callable[[str], None]) -> None:
    """Logs a model for each configuration on the front that has none yet; with a name, registers those without.

    Trials that keep no weights, or whose files are not here, have none.
    """
    tags = {trial.uid: runs.tags(trial.uid) for trial in runs.front_members()}
    wanted = [trial for trial in runs.front_members() if MODEL_TAG not in tags[trial.uid]]
    is_told = False
    for trial in wanted[:MOST_MODELS]:
        made = _made_model(runs, trial, say)
        if made is None:
            continue
        if not is_told:
            say(f"Logging the models of the front to MLflow (at most {min(len(wanted), MOST_MODELS)}) ...")
            is_told = True
        model_id = _log_model(runs, trial, *made, say)
        if model_id is not None:
            tags[trial.uid][MODEL_TAG] = model_id
    for trial in runs.front_members():
        model_id = tags[trial.uid].get(MODEL_TAG)
        if registered_name and model_id and tags[trial.uid].get(REGISTERED_TAG) != registered_name:
            _register(runs, trial, model_id, registered_name)


def _made_model(runs: StudyRuns, trial: TrialRecord, say: Callable[[str], None]) -> tuple[Any, Any] | None:
    if runs.trainable is None:
        return None
    try:
        return runs.trainable.model(runs.trainable.recorded(trial.config), trial_folder(runs.study_dir, trial.uid))
    except Exception as error:  # damaged weights, those of another version, or whatever a user's function raises
        say(_warning(trial, error))
        return None


def _warning(trial: TrialRecord, error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"warning: no model of {trial.uid} in MLflow: {type(error).__name__}: {first[:300]}"


def _log_model(runs: StudyRuns, trial: TrialRecord, model: Any, example: Any, say: Callable[[str], None]) -> str | None:
    """Logs a model; returns its id, or None if it cannot be saved.

    What a kill or a lost connection has left is taken if whole, else removed.
    """
    from mlflow.entities import LoggedModelOutput, Metric
    from mlflow.models.model import Model

    client, run_id = runs.client, runs.run_id(trial.uid)
    left = client.search_logged_models([runs.experiment_id], f"source_run_id = '{run_id}'")
    for found in [one for one in left if one.name == MODEL_NAME and UID_TAG in one.tags]:
        if str(found.status) == "READY":
            client.set_tag(run_id, MODEL_TAG, found.model_id)
            return str(found.model_id)
        client.delete_logged_model(found.model_id)
    params = {name: str(value) for name, value in trial.params.items()}
    tags = {UID_TAG: trial.uid, "recipe": runs.name(trial), "front": "true"}
    logged = client.create_logged_model(runs.experiment_id, MODEL_NAME, run_id, tags, params)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        description = Model(logged.artifact_location, run_id, model_id=logged.model_id, model_uuid=logged.model_id)
        try:
            _save(model, example, path, description)
        except Exception as error:  # a model that is no graph, or that does not take the example
            say(_warning(trial, error))
            client.delete_logged_model(logged.model_id)
            return None
        client.log_model_artifacts(logged.model_id, str(path))
    step = int(trial.metrics.get(runs.progress) or 0)
    points = [point for point in points_of(trial, runs.study_dir, runs.progress) if point.step == step]
    metrics = {point.name: Metric(*point, model_id=logged.model_id, run_id=run_id) for point in points}
    client.log_batch(run_id, metrics=list(metrics.values()))
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step)])
    client.finalize_logged_model(logged.model_id, "READY")
    client.set_tag(run_id, MODEL_TAG, logged.model_id)
    return str(logged.model_id)


def _save(model: Any, example: Any, path: Path, description: Any) -> None:
    """A torch module as its graph, which needs no code of this project to be loaded; anything else as a function."""
    import mlflow.pyfunc
    import mlflow.pytorch
    import torch
    from mlflow.models import infer_signature

    options: dict[str, Any] = {"mlflow_model": description, "input_example": example}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not isinstance(model, torch.nn.Module):
            signature = infer_signature(example, model(example))
            mlflow.pyfunc.save_model(str(path), python_model=model, signature=signature, pip_requirements=[], **options)
            return
        with torch.no_grad():
            signature = infer_signature(example, model(torch.from_numpy(example)).numpy())
        needed = [f"torch=={version('torch')}"]
        mlflow.pytorch.save_model(model, str(path), signature=signature, serialization_format="pt2",
                                  pip_requirements=needed, **options)  # fmt: skip


def _register(runs: StudyRuns, trial: TrialRecord, model_id: str, name: str) -> None:
    """Makes a model a version of the registered model ``name``, once."""
    client, run_id = runs.client, runs.run_id(trial.uid)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=runs.record.spec["question"])
    versions = client.search_model_versions(f"name = '{name}'")
    if run_id not in {one.run_id for one in versions}:
        # A database of its own would look "models:/..." up where MLflow's global tracking URI points to.
        is_server = runs.uri.startswith("http")
        source = f"models:/{model_id}" if is_server else client.get_logged_model(model_id).artifact_location
        client.create_model_version(name, source, run_id, model_id=model_id, description=runs.name(trial))
    client.set_tag(run_id, REGISTERED_TAG, name)
