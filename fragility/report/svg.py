"""matplotlib figure -> a small inline SVG that takes its colours and typeface from the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fragility.report.palette import INK, RULE, SOFT, TOKEN_OF

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Serif",
    "font.size": 13,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 12.5,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    # A study's labels are words: a dollar in one is a dollar.
    "text.parse_math": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "path.simplify": True,
    "path.simplify_threshold": 0.2,
}
_NUMBER = re.compile(r"-?\d+\.\d+")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_FONT = re.compile(r"font-family: [^;]*;? ?")
_REFERENCE = re.compile(r"#([\w.-]+)")
_INLINE = ("href", "clip-path")


@contextmanager
def style() -> Iterator[None]:
    """Draws inside with the report's look, whatever the user's matplotlib settings are."""
    with rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def canvas(width: int, height: int) -> Figure:
    """Returns an empty figure of that many CSS pixels."""
    return Figure(figsize=(width / 72, height / 72))


def axes(figure: Figure, left: float, top: float, right: float, bottom: float) -> Axes:
    """Returns axes whose edges are that many pixels from the figure's edges."""
    width, height = figure.get_size_inches() * 72
    box = (left / width, bottom / height)
    return figure.add_axes((*box, (width - left - right) / width, (height - top - bottom) / height))


def render(
    figure: Figure, name: str, label: str, hover: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Returns the figure as one `<svg>` element.

    `name` makes its ids unique in the page and seeds them; `label` is what a screen reader says;
    `hover` maps the gid of a scatter to one text a marker.
    """
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in root.iter():
        for child in list(parent):
            if _tag(child) == "metadata" or (_tag(child) == "defs" and _is_style(child)):
                parent.remove(child)
    for gid, texts in (hover or {}).items():
        _add_hover(root, gid, texts)
    _slim(root, name)
    width, height = figure.get_size_inches() * 72
    root.attrib = {
        "viewBox": f"0 0 {width:.0f} {height:.0f}",
        "width": f"{width:.0f}",
        "height": f"{height:.0f}",
        "role": "img",
        "aria-label": label,
    }
    return ElementTree.tostring(root, encoding="unicode")


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _is_style(element: ElementTree.Element) -> bool:
    return len(element) == 1 and _tag(element[0]) == "style"


def _add_hover(root: ElementTree.Element, gid: str, texts: Sequence[str]) -> None:
    group = next(element for element in root.iter() if element.get("id") == gid)
    marks = [element for element in group.iter() if _tag(element) == "use"]
    for mark, text in zip(marks, texts, strict=True):
        ElementTree.SubElement(mark, "title").text = text


def _slim(root: ElementTree.Element, name: str) -> None:
    used = {
        match
        for element in root.iter()
        for key, value in element.attrib.items()
        if key.rpartition("}")[2] in _INLINE
        for match in _REFERENCE.findall(value)
    }
    for element in root.iter():
        element.tag = _tag(element)
        element.text = (element.text or "").strip() or None
        element.tail = None
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if attributes.get("id") not in used:
            attributes.pop("id", None)
        element.attrib = {key: _attribute(key, value, name) for key, value in attributes.items()}
        if "rotate(-0" in element.attrib.get("transform", ""):
            del element.attrib["transform"]
    for element in root.iter("g"):
        _hoist_style(element)


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key in _INLINE:
        return _REFERENCE.sub(rf"#{name}-\1", value)
    if key == "style":
        value = _COLOUR.sub(lambda match: _variable(match.group()), value)
        return _FONT.sub("", value).replace(": ", ":").replace("; ", ";").rstrip(";")
    return _NUMBER.sub(lambda match: f"{float(match.group()):.2f}".rstrip("0").rstrip("."), value)


def _variable(colour: str) -> str:
    return f"var(--{TOKEN_OF[colour]})" if colour in TOKEN_OF else colour


def _hoist_style(group: ElementTree.Element) -> None:
    """Moves a style that all markers share to their group: the bulk of a scatter's bytes."""
    styles = {child.get("style") for child in group if child.tag == "use"}
    if len(group) > 1 and len(styles) == 1 and all(child.tag == "use" for child in group):
        group.set("style", styles.pop() or "")
        for child in group:
            child.attrib.pop("style", None)
