"""Which device trials get, as far as this machine decides it; and whether the cluster is there."""

import socket

ANSWER_SECONDS = 10.0


def require_device(device: str | None, gpus_per_trial: float | None) -> None:
    """Raises ``ValueError`` if a GPU is asked for and this machine has none; only then is torch imported."""
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"--device must be cpu or cuda (Ray assigns each trial its device): {device!r}")
    if device == "cpu" and gpus_per_trial is not None:
        raise ValueError("--gpus-per-trial needs a GPU: --device cpu was given")
    if device != "cuda" and gpus_per_trial is None:
        return
    import torch

    if not torch.cuda.is_available():
        asked = "--device cuda" if device == "cuda" else "--gpus-per-trial"
        raise ValueError(f"{asked} needs a GPU: there is none here")


def usable_device(device: str | None, address: str | None) -> str | None:
    """``device``, or for None on this machine alone ``cpu`` if torch cannot use a GPU, whatever Ray counts.

    None is left to the cluster's resources: where there is no GPU at all, torch need not be imported to know it.
    """
    if device is not None or address is not None:
        return device
    import ray

    if not ray.cluster_resources().get("GPU", 0):
        return None
    import torch

    return None if torch.cuda.is_available() else "cpu"


def require_reachable(address: str) -> None:
    """Raises ``ValueError`` if nothing answers at ``host:port``, for which Ray itself waits for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():  # such as auto, which Ray looks up, or not an address, which it refuses
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"no Ray cluster answers at {address} (--address): {error}") from None
