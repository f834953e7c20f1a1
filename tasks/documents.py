"""Write the post-mortem, with its chart, once per incident, into the archive."""

import base64
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import jinja2
from prefect import task

from recovery.errors import Unavailable
from recovery.readings import Point
from recovery.timelines import Story, since_first
from tasks.archive import keep
from tasks.retry import ON_UNAVAILABLE, spoken
from tasks.settings import read_settings

_TEMPLATES = Path(__file__).with_name("templates")


@task(name="write post-mortem", task_run_name="post-mortem of {story.service} {story.version}", **ON_UNAVAILABLE)
@spoken
def write_post_mortem(story: Story, points: Sequence[Point]) -> str:
    """Write the document and its chart, and return the document's path; the first one written stays.

    Raises Unavailable when the archive cannot be written, such as on a full disk; no half document is left.
    """
    directory = read_settings().archive / "post-mortems" / story.service
    document, chart = directory / f"{story.version}.md", directory / f"{story.version}.svg"
    if document.exists():
        return str(document)
    picture = draw_chart(points, story)
    if picture:
        keep(chart, picture)
    keep(document, render(story, chart.name if picture else None).encode())
    return str(document)


@task(name="read document", **ON_UNAVAILABLE)
def read_document(path: str) -> str:
    """Read a document back from the archive, as people will find it, its chart as an inline picture."""
    document = Path(path)
    try:
        text = document.read_text(encoding="utf-8")
        chart = document.with_suffix(".svg")
        if chart.exists():
            inline = "data:image/svg+xml;base64," + base64.b64encode(chart.read_bytes()).decode()
            text = text.replace(f"]({chart.name})", f"]({inline})")
    except OSError as error:
        raise Unavailable(f"{path} cannot be read back: {error.strerror}") from error
    return text


def render(story: Story, chart: str | None) -> str:
    """The post-mortem as Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        autoescape=False,  # noqa: S701 Markdown, not HTML; `cell` takes what would break out of it
        keep_trailing_newline=True,
    )
    environment.filters.update(clock=show_clock, span=show_span, cell=as_cell)
    template = environment.get_template("post_mortem.md.j2")
    return template.render(story=story, events=since_first(story.events), chart=chart)


def draw_chart(points: Sequence[Point], story: Story) -> bytes | None:
    """Requests and failures over time with the events as lines, as SVG; None where nothing was measured."""
    if not points:
        return None
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.dates import DateFormatter, date2num
    from matplotlib.figure import Figure

    ordered = sorted(points, key=lambda point: point.at)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    times = [float(date2num(point.at)) for point in ordered]
    axes.fill_between(times, [point.requests for point in ordered], step="pre", color="#c9d7e8", label="requests")
    axes.fill_between(times, [point.failed for point in ordered], step="pre", color="#c0392b", label="failed")
    # The lines carry the numbers of the timeline's rows; neighbours stand on different heights.
    for number, event in enumerate(story.events, 1):
        when = float(date2num(event.at))
        axes.axvline(when, color="#444", linewidth=0.8, linestyle=":")
        place, where = (when, 1.02 + 0.08 * (number % 3)), ("data", "axes fraction")
        axes.annotate(str(number), place, xycoords=where, ha="center", fontsize=8, color="#444")
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))
    axes.set_ylabel("requests per interval")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False, fontsize=8)
    out = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(out)
    return out.getvalue()


def show_clock(at: datetime) -> str:
    """A time of day in UTC, to the second."""
    return at.strftime("%Y-%m-%d %H:%M:%S")


def show_span(span: timedelta) -> str:
    """A span as people say it: +1 min 12 s."""
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    return f"+{minutes} min {seconds} s" if minutes else f"+{seconds} s"


def as_cell(text: str) -> str:
    """Text from elsewhere (commit titles, alerts) on one line, unable to break out of a table or a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
