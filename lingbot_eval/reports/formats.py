"""A sheet in Markdown, LaTeX, CSV and HTML. Words come from users and files: each format escapes them."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Mapping, Sequence

from lingbot_eval.plain import cell as safe
from lingbot_eval.plain import plain
from lingbot_eval.reports.sheet import Cell, Sheet

LONG = 40
"""Rows from which on a LaTeX table is set smaller, so that fifty tasks fit on a page."""


def markdown(sheets: Sequence[Sheet]) -> str:
    return "\n\n".join(map(_markdown, sheets)) + "\n"


def _markdown(sheet: Sheet) -> str:
    above = [words for words, columns in sheet.groups for _ in range(columns)] or [Cell("")] * len(sheet.headings)
    headings = [
        " ".join(filter(None, (_markdown_cell(group), _markdown_cell(heading))))
        for group, heading in zip(above, sheet.headings, strict=True)
    ]
    sides = ["---"] * sheet.words + ["---:"] * (len(headings) - sheet.words)
    lines = [headings, sides, *([_markdown_cell(cell) for cell in row] for row in sheet.rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"- <sup>{letter}</sup> {markdown_text(note)}" for letter, note in sheet.notes)
    return f"## {markdown_text(sheet.title)}\n\n{table}\n\n{markdown_text(sheet.caption)}\n\n{notes}"


def _markdown_cell(cell: Cell) -> str:
    text = markdown_text(cell.text)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>", "": text}[cell.rank]
    return text + (f"<sup>{cell.mark}</sup>" if cell.mark else "")


def markdown_text(text: str) -> str:
    """Put a text on one line, with nothing that a renderer would take for its own."""
    text = html.escape(plain(" ".join(text.split())), quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]|~" else letter for letter in text)


PREAMBLE = "% \\usepackage{booktabs,graphicx}\n"


def latex(sheets: Sequence[Sheet]) -> str:
    """Write what is to be \\input; it needs what its first line says, and plain pdflatex."""
    return PREAMBLE + "\n".join(map(_latex, sheets))


def _latex(sheet: Sheet) -> str:
    columns = "l" * sheet.words + "r" * (len(sheet.headings) - sheet.words)
    lines = [r"\toprule"]
    if sheet.groups:
        groups = (rf"\multicolumn{{{span}}}{{c}}{{{_latex_cell(cell)}}}" for cell, span in sheet.groups)
        lines += [" & ".join(groups) + r" \\", _latex_lines(sheet)]
    lines += [_latex_row(sheet.headings), r"\midrule"]
    for number, row in enumerate(sheet.rows):
        lines += [r"\midrule"] if number in sheet.rules else []
        lines.append(_latex_row(row))
    lines.append(r"\bottomrule")
    size, small = (r"\footnotesize", r"\scriptsize") if len(sheet.rows) < LONG else (r"\scriptsize", r"\tiny")
    notes = [rf"\textsuperscript{{{letter}}}\,{_latex_text(note)}\par" for letter, note in sheet.notes]
    return "\n".join(
        [
            rf"\begin{{table}}[htbp]\centering{size}\setlength{{\tabcolsep}}{{3pt}}",
            rf"\caption{{{_latex_text(f'{sheet.title}. {sheet.caption}')}}}",
            rf"\setbox0=\hbox{{\begin{{tabular}}{{{columns}}}",
            *lines,
            r"\end{tabular}}%",
            r"\leavevmode\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\box0}\else\box0\fi",
            rf"\begin{{flushleft}}{small}",
            *notes,
            r"\end{flushleft}",
            r"\end{table}",
            "",
        ]
    )


def _latex_lines(sheet: Sheet) -> str:
    """Draw a line under each group that has words."""
    lines, start = "", 1
    for cell, span in sheet.groups:
        lines += rf"\cmidrule(lr){{{start}-{start + span - 1}}}" if cell.text else ""
        start += span
    return lines


def _latex_row(cells: Sequence[Cell]) -> str:
    return " & ".join(map(_latex_cell, cells)) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = _latex_text(cell.text)
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}", "": text}[cell.rank]
    return text + (rf"\textsuperscript{{{cell.mark}}}" if cell.mark else "")


_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
    **{"–": "--", "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "Δ": r"$\Delta$", "π": r"$\pi$", "≥": r"$\geq$"},
    **{"’": "'", "…": r"\dots{}", "[": "{[}", "]": "{]}"},
}


def _latex_text(text: str) -> str:
    """Letters that plain pdflatex has no glyph for are named by their number."""
    return "".join(
        _LATEX.get(letter, letter if letter.isascii() else f"U+{ord(letter):04X}") for letter in _printable(text)
    )


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


CSV_HEADINGS = ("table", "row", "column", "text", "value", "rank", "mark")


def as_csv(sheets: Sequence[Sheet]) -> str:
    """One line per number; ``value`` with all digits, notes as lines with the letter as their row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADINGS)
    for sheet in sheets:
        above = [words.text for words, columns in sheet.groups for _ in range(columns)] or [""] * len(sheet.headings)
        for row in sheet.rows:
            name = " ".join(filter(None, (cell.text for cell in row[: sheet.words])))
            for group, heading, cell in list(zip(above, sheet.headings, row, strict=True))[sheet.words :]:
                value = "" if cell.value is None else cell.value
                column = f"{group} {heading.text}".strip()
                words = map(safe, (sheet.title, name, column, cell.text))
                writer.writerow([*words, value, cell.rank, cell.mark])
        for letter, note in (("", sheet.caption), *sheet.notes):
            writer.writerow([safe(sheet.title), letter, "note", safe(note), "", "", ""])
    return text.getvalue()


STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem;color-scheme:light dark}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}div{overflow-x:auto}
td,th{padding:.15rem .6rem;text-align:right}.words{text-align:left}thead th{border-bottom:1px solid}
tr.rule td{border-top:1px solid}.second{text-decoration:underline}p,ul{max-width:60rem}"""


def as_html(sheets: Sequence[Sheet]) -> str:
    """One page that needs nothing else."""
    title = " · ".join(sheet.title for sheet in sheets)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_html_text(title)}</title>\n'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(map(_html, sheets)) + "\n</body></html>\n"
    )


def _html_text(text: str) -> str:
    return html.escape(plain(text))


def _html(sheet: Sheet) -> str:
    groups = "".join(f'<th colspan="{span}">{_html_words(cell)}</th>' for cell, span in sheet.groups)
    headings = _html_cells(sheet.headings, sheet.words, "th")
    rows = [
        f"<tr{' class=rule' if number in sheet.rules else ''}>{_html_cells(row, sheet.words, 'td')}</tr>"
        for number, row in enumerate(sheet.rows)
    ]
    notes = "".join(f"<li><sup>{letter}</sup> {_html_text(note)}</li>\n" for letter, note in sheet.notes)
    return (
        f"<h2>{_html_text(sheet.title)}</h2>\n<div><table><thead>"
        + (f"<tr>{groups}</tr>" if groups else "")
        + f"<tr>{headings}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + f"\n</tbody></table></div>\n<p>{_html_text(sheet.caption)}</p>\n<ul>\n{notes}</ul>"
    )


def _html_cells(cells: Sequence[Cell], words: int, tag: str) -> str:
    kinds = [' class="words"' if number < words else "" for number in range(len(cells))]
    return "".join(f"<{tag}{kind}>{_html_words(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))


def _html_words(cell: Cell) -> str:
    text = _html_text(cell.text)
    text = {"best": f"<b>{text}</b>", "second": f'<span class="second">{text}</span>', "": text}[cell.rank]
    return text + (f"<sup>{cell.mark}</sup>" if cell.mark else "")


FORMATS: Mapping[str, Callable[[Sequence[Sheet]], str]] = {
    "md": markdown,
    "tex": latex,
    "csv": as_csv,
    "html": as_html,
}
"""What writes a file with such an ending."""
