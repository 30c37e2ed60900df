"""A console whose reader may leave, and that prints whatever it is given: no study ends because of its display."""

import io
import os
import sys
from typing import Any

from rich.console import Console


class StudyConsole(Console):
    """A console for standard output; once nobody reads it any more, as behind ``| head``, it prints nothing."""

    def __init__(self, **options: Any) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # what the encoding does not have
        super().__init__(**options)

    def on_broken_pipe(self) -> None:
        """Called by rich, whose own console ends the process here."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
