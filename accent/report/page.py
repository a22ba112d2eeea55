"""The report's page: the evaluation and the audit as tables, the curves as pictures, and the cards of clips."""

import base64
import hashlib
import io
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from accent.core.errors import InputError
from accent.evaluation.curves import draw_curves, read_rows
from accent.report.clips import SHOWN, data_uri
from accent.scoring.picture import CLIP_BOX
from accent.scoring.style import drawing, in_words

TEMPLATES = Path(__file__).parent / "templates"
MAX_BYTES = 20_000_000  # of the page: browsers open more slowly, and mail and forges refuse it
OTHERS = ("verdict", "interval", "clips_of", "speakers_of")  # that have no column in a table


def tables_and_pictures(
    classes: list[str], evaluation: dict, audit: dict, plots: Path, training: Path, audit_pictures: Path
) -> dict:
    """What the page shows of the metrics of `evaluate` and `audit`, and of the folders that the stages wrote."""
    return {
        "classes": classes,
        "evaluation": evaluation,
        "probes": {name: beside(probe, probe["interval"]) for name, probe in evaluation["probes"].items()},
        "subgroups": subgroup_tables(read_rows(plots / "subgroups.csv")),
        "audit": audit,
        "audit_picture": data_uri((audit_pictures / "audit.png").read_bytes(), "image/png"),
        "confusion": confusion_table(read_rows(plots / "confusion.csv"), classes),
        "curves": {name: line_picture(figure) for name, figure in draw_curves(plots, training).items()},
    }


def line_picture(figure: Figure) -> str:
    """A figure of lines as the address of an SVG picture, the same on every run."""
    file = io.BytesIO()
    with drawing({"svg.hashsalt": "accent"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return data_uri(file.getvalue(), "image/svg+xml")


def confusion_table(rows: pd.DataFrame, classes: list[str]) -> dict[str, dict[str, int]]:
    """Clips by actual and predicted class, from the rows of `accent.evaluation.curves.confusion`."""
    counts = pd.crosstab(rows["actual"], rows["predicted"]).reindex(index=classes, columns=classes, fill_value=0)
    return counts.astype(int).T.to_dict()


def beside(numbers: dict, intervals: dict) -> dict:
    """Numbers with their 95% intervals under the name and `_95`, as tables on the page have them."""
    return numbers | {f"{name}_95": bounds for name, bounds in intervals.items()}


def subgroup_tables(rows: pd.DataFrame) -> dict[str, dict[str, dict]]:
    """A table for each dimension of the rows of `accent.evaluation.groups.subgroups`, a row for each of its values."""
    tables = {}
    for row in rows.fillna({"too_few": ""}).astype(object).where(rows.notna(), None).to_dict("records"):
        bounds = {name: (row.pop(f"{name}_low"), row.pop(f"{name}_high")) for name in ("error", "roc_auc")}
        known = {name: pair for name, pair in bounds.items() if None not in pair}
        dimension, value = row.pop("dimension"), row.pop("value")
        tables.setdefault(dimension, {})[value] = beside(row, known)
    return tables


def columns_of(table: dict[str, dict]) -> list[str]:
    """The names of what any row of a table has, in the order in which they appear; words only where there are any."""
    names = dict.fromkeys(name for row in table.values() for name, value in row.items() if value != "")
    return [name for name in names if not name.endswith("_95") and name not in OTHERS]


def number(value: float | str | None) -> str:
    """A number for reading: counts whole, all else with three decimals; a dash for none, and words as they are."""
    if value is None or value != value:
        return "\N{EN DASH}"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def interval(bounds: list[float] | None) -> str:
    """A 95% interval for reading, or nothing where there is none."""
    return f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else ""


def sentence(text: str) -> str:
    """A clause as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}."


def render(**page: object) -> str:
    """The page. Everything in `page` is shown as text, whatever is in it; only the template's own script may run.

    Raises `InputError` for a page of more than `MAX_BYTES`.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "interval": interval, "columns": columns_of}
    environment.filters |= {"sentence": sentence, "words": in_words}
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    votes = {(card["up_votes"], card["down_votes"]) for card in page["cards"]}
    html = environment.get_template("report.html").render(
        **page,
        beside=beside,
        measures={name: it for name, it in SHOWN.items() if len(votes) > 1 or not name.endswith("_votes")},
        votes_differ=len(votes) > 1,  # else they say nothing
        box=CLIP_BOX,
        script=script,
        script_hash=script_hash,
    )
    size = len(html.encode())
    if size > MAX_BYTES:
        raise InputError(
            f"the report's page: {size / 1e6:,.1f} MB, at most {MAX_BYTES / 1e6:,.0f} MB are allowed. "
            f"Lower report.clips in params.yaml: {len(page['cards']):,} clips are listed now"
        )
    return html
