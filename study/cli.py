"""The command ``ssl-studies``: one name for the modules that can also be run with ``python -m``."""

import runpy
import sys

COMMANDS = {
    "run": ("study.run", "run a study from a space, or resume it"),
    "status": ("study.status", "what a study is doing"),
    "verify": ("study.verify", "check everything recorded about a study against its journal"),
    "doctor": ("study.doctor", "check whether this machine can run a study"),
    "mlflow": ("study.tracking", "open MLflow's pages of the studies in a folder"),
    "report": ("reports.build", "write the report of a study"),
    "compare": ("reports.compare", "compare two trials or two studies"),
    "attack": ("reports.attack", "what the evaluation's attack does to a trial"),
    "trial": ("trainables.run_trial", "run one trial of robust self-supervised learning, without Ray"),
}


def main() -> None:
    """Runs the module of the subcommand with the remaining arguments; ``spaces`` lists the packaged spaces."""
    command, *rest = sys.argv[1:] or ["--help"]
    if command == "spaces":
        command, rest = "run", ["--list-spaces", *rest]
    if command not in COMMANDS:
        print("usage: ssl-studies COMMAND ...   (COMMAND --help for its options)\n")
        for name, (module, what) in COMMANDS.items():
            print(f"  {name:8} {what} (python -m {module})")
        print(f"  {'spaces':8} list the spaces that come with the project")
        sys.exit(0 if command in ("-h", "--help") else 2)
    module, _ = COMMANDS[command]
    sys.argv = [f"ssl-studies {command}", *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
