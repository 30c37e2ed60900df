"""A table of the report as CSV, Markdown and LaTeX."""

import re

from reports.page.report_table import ReportTable

LATEX_SPECIALS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "×": r"$\times$", "→": r"$\to$", "≤": r"$\le$", "≥": r"$\ge$", "−": "$-$", "∞": r"$\infty$",
    "·": r"$\cdot$", "μ": r"$\mu$", "–": "--", "⚠": "(!)", "✗": "(x)", "…": r"\dots{}",
}  # fmt: skip
NUMBER = re.compile(r"(?:< |× )?[+-]?[\d,.]+(?: ± [\d.]+| \[.*\]| \w+)?|–")
FORMULA = re.compile(r"(?![+-]?[\d.]+(?:e[+-]?\d+)?$)[=+\-@\t\r]", re.IGNORECASE)  # but no number


def to_csv(table: ReportTable) -> str:
    """The table's ``data`` as CSV; a missing number is an empty cell.

    A text that a spreadsheet would run as a formula is led by an apostrophe.
    """
    data = table.data.map(lambda cell: f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell)
    text: str = data.to_csv(index=False, lineterminator="\n")
    # CSV readers end a row at a carriage return, e.g. of a progress bar in an error message; pandas does not quote it.
    return text.replace("\r\n", "\n").replace("\r", " ")


def to_markdown(table: ReportTable) -> str:
    """The table's ``text`` as a Markdown pipe table below its title, with numbers aligned right."""
    marks = ["---:" if _is_number_column(table, column) else "---" for column in table.text.columns]
    lines = [_row(list(table.text.columns)), f"| {' | '.join(marks)} |"]
    lines += [_row(list(row)) for row in table.text.itertuples(index=False)]
    return f"{table.title}\n\n" + "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    plain = (re.sub(r"\s+", " ", cell).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(plain)} |"


def to_latex(table: ReportTable) -> str:
    """The table's ``text`` as a LaTeX table; the document must load booktabs, but no other package."""
    columns = "".join("r" if _is_number_column(table, column) else "l" for column in table.text.columns)
    head, *rows = [
        " & ".join(_latex(cell) for cell in row) + r" \\"
        for row in (table.text.columns, *table.text.itertuples(index=False))
    ]
    return "\n".join([
        r"% \usepackage{booktabs}", r"\begin{table}", r"\centering", rf"\caption{{{_latex(table.title)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}", rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ])  # fmt: skip


def _latex(text: str) -> str:
    """``text`` with LaTeX's special characters escaped; line breaks become spaces."""
    escaped = "".join(LATEX_SPECIALS.get(character, character) for character in re.sub(r"\s+", " ", text))
    # At the start of a row, LaTeX would take a bracket or star as an argument of the preceding line break.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def _is_number_column(table: ReportTable, column: str) -> bool:
    return len(table.text) > 0 and all(NUMBER.fullmatch(cell) for cell in table.text[column])
