"""Files that are replaced whole, and damage that is noticed."""

import os
from pathlib import Path

import pytest
import torch

from trainables.whole_files import DamagedFile, load_state, replacing


def test_the_file_is_flushed_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, calls = tmp_path / "deep" / "file.json", []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        calls.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        calls.append(("replace", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    with replacing(path) as unfinished:
        unfinished.write_text("whole")
    assert path.read_text() == "whole" and list(path.parent.iterdir()) == [path]
    assert calls == [("fsync", path.stat().st_ino), ("replace", path.stat().st_ino)]


def test_what_could_not_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("before")
    with pytest.raises(RuntimeError), replacing(path) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


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
