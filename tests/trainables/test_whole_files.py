"""Saved tensors come back, and damage to them is noticed."""

from pathlib import Path

import pytest
import torch

from trainables.whole_files import DamagedFile, load_state


def test_states_come_back(tmp_path: Path) -> None:
    torch.save({"weights": torch.arange(100.0), "name": "one"}, tmp_path / "state.pt")
    found = load_state(tmp_path / "state.pt")
    assert torch.equal(found["weights"], torch.arange(100.0)) and found["name"] == "one"
    with pytest.raises(FileNotFoundError):
        load_state(tmp_path / "none.pt")


def test_every_kind_of_damage_is_noticed(tmp_path: Path) -> None:
    path, weights = tmp_path / "state.pt", torch.arange(1000.0)
    torch.save({"weights": weights}, path)
    content = path.read_bytes()
    middle = content.find(weights[500:510].numpy().tobytes())
    assert middle > 0
    zeros = content[:middle] + bytes(40) + content[middle + 40 :]
    path.write_bytes(zeros)
    assert not torch.equal(torch.load(path)["weights"], weights)  # the reason for our own look at the checksums
    for damaged in (b"", b"no state", content[:-50], content[: len(content) // 2], zeros, bytes(len(content))):
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile, match=r"state\.pt is damaged"):
            load_state(path)
