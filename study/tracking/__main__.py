"""Opens MLflow's pages of the studies in a folder, which may have been moved or copied since they ran.

    python -m study.tracking runs

is ``mlflow ui`` on the store in ``runs/``, after it was pointed to the artifacts that lie beside it; further options go
to ``mlflow ui``, such as ``--port 5001``.
"""

import argparse
import os
import sqlite3
import sys
from pathlib import Path

from study.tracking.stores import is_store, rehome, store_path


def main(arguments: list[str] | None = None) -> int:
    """Parses, puts the store right, and becomes ``mlflow ui``; returns 2 if there is no store."""
    parser = argparse.ArgumentParser(prog="python -m study.tracking", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of the studies, runs; or a store, such as runs/mlflow.db")
    options, further = parser.parse_known_args(arguments)
    path = store_path(options.folder) if options.folder.is_dir() else options.folder.resolve()
    try:
        if not is_store(path):
            raise ValueError(f"no MLflow store in {options.folder}")
        rehome(path)
    except (ValueError, sqlite3.DatabaseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sys.stdout.flush()
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{path}", *further]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    sys.exit(main())
