"""Files that are replaced whole."""

import os
from pathlib import Path

import pytest

from study.files import replacing


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
