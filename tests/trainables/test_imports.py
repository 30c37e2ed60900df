"""Trials run without the study's and the reports' dependencies."""

import subprocess
import sys


def test_trainables_need_no_study_dependency() -> None:
    code = (
        "import sys, trainables.trial, trainables.run_trial;"
        "print(*({'ray', 'optuna', 'mlflow', 'pandas', 'plotly', 'study', 'reports'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
