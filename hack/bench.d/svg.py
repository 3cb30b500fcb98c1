"""Draws bars and curves as SVG that is readable on light and on dark pages, without fonts or scripts of others."""

import math
import textwrap
from xml.sax.saxutils import escape

# The colours of a runtime on a light and on a dark page. Further peers take the last ones in turn.
COLOURS = {"floor": ("#8c959f", "#768390"), "tare": ("#0969da", "#539bf5"), "crun": ("#d4730b", "#e0823d"),
           "runc": ("#8250df", "#b083f0")}
OTHERS = (("#1a7f37", "#57ab5a"), ("#bf3989", "#e275ad"))
WIDTH = 860
MARGIN = 16


def colour_rules(runtimes, dark):
    others = [name for name in runtimes if name not in COLOURS]
    rules = []
    for name in runtimes:
        pair = COLOURS.get(name) or OTHERS[others.index(name) % len(OTHERS)]
        rules.append(f".{css(name)}{{fill:{pair[dark]};stroke:{pair[dark]}}}")
    return "".join(rules)


def css(name):
    """The name of a runtime as a name of a class."""
    return "r-" + "".join(letter if letter.isalnum() else "-" for letter in name)


class Canvas:
    """An SVG document that grows downwards: `y` is the first free line."""

    def __init__(self, title, runtimes):
        self.runtimes = runtimes
        self.parts = []
        self.y = 28
        self.text(MARGIN, self.y, title, "title")
        self.y += 14
        x = MARGIN
        for name in runtimes:
            self.parts.append(f'<rect class="{css(name)}" x="{x}" y="{self.y}" width="11" height="11" rx="2"/>')
            self.text(x + 16, self.y + 10, name)
            x += 40 + 8 * len(name)
        self.y += 28

    def text(self, x, y, text, kind="", anchor="start"):
        kind = f' class="{kind}"' if kind else ""
        anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{kind}{anchor}>{escape(text)}</text>')

    def line(self, x1, y1, x2, y2, kind):
        self.parts.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def document(self, lines):
        """The whole document, with lines of small text below."""
        self.y += 6
        for line in lines:
            for part in textwrap.wrap(line, 135):
                self.text(MARGIN, self.y, part, "small")
                self.y += 15
        light = (f"text{{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}}"
                 f".title{{font-size:16px;font-weight:600}}.small{{font-size:11px;fill:#59636e}}"
                 f".grid{{stroke:#d1d9e0}}.range{{stroke:#1f2328;opacity:.55}}path{{fill:none!important;stroke-width:2}}"
                 f"{colour_rules(self.runtimes, 0)}")
        dark = (f"text{{fill:#d1d7e0}}.small{{fill:#9198a1}}.grid{{stroke:#3d444d}}.range{{stroke:#d1d7e0}}"
                f"{colour_rules(self.runtimes, 1)}")
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.y}" width="{WIDTH}" height="{self.y}">'
        style = f"<style>{light}@media(prefers-color-scheme:dark){{{dark}}}</style>"
        return "\n".join([head, style, *self.parts, "</svg>"]) + "\n"


def short(value):
    """A number with three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bars(canvas, groups, columns=2):
    """Groups of bars. Each group, a pair of its title and rows, has a scale of its own. A row has a runtime, a value, its
    text, and two quartiles or None."""
    width = (WIDTH - 2 * MARGIN) / columns - 24
    height = 0
    for number, (title, rows) in enumerate(groups):
        column = number % columns
        x, y = MARGIN + column * (width + 48 / columns), canvas.y
        canvas.text(x, y + 10, title)
        y += 18
        most = max(row[1] for row in rows)
        room = width - 60
        for runtime, value, text, quartiles in rows:
            length = max(room * value / most, 1.5)
            canvas.parts.append(f'<rect class="{css(runtime)}" x="{x:.1f}" y="{y}" width="{length:.1f}" height="11" rx="1.5"/>')
            end = length
            if quartiles:
                low, high = (x + min(room * edge / most, room + 6) for edge in quartiles)
                canvas.line(low, y + 5.5, high, y + 5.5, "range")
                end = max(length, high - x)
            canvas.text(x + end + 6, y + 10, text)
            y += 15
        height = max(height, y - canvas.y + 12)
        if column == columns - 1 or number == len(groups) - 1:
            canvas.y += height
            height = 0


def curves(canvas, panels, columns=3):
    """Growth curves: a panel is a triple of its title, its levels and, for each runtime, a value for each level or None.
    The values are on a logarithmic scale, and the levels stand side by side."""
    width, height = (WIDTH - 2 * MARGIN) / columns, 200
    for number, (title, levels, lines) in enumerate(panels):
        if number and number % columns == 0:
            canvas.y += height + 46
        panel(canvas, MARGIN + number % columns * width, width - 20, height, (title, levels, lines))
    canvas.y += height + 46


def panel(canvas, x, width, height, content):
    title, levels, lines = content
    canvas.text(x, canvas.y + 10, title)
    top, left, right = canvas.y + 24, x + 40, x + width - 6
    values = [value for line in lines.values() for value in line if value]
    low, high = math.floor(math.log10(min(values)) * 2) / 2, math.ceil(math.log10(max(values)) * 2) / 2

    def height_of(value):
        return top + height - 20 - (math.log10(value) - low) / max(high - low, 0.5) * (height - 24)

    for power in range(math.floor(low), math.ceil(high) + 1):
        for digit in (1, 3):
            value = digit * 10.0**power
            if low - 0.03 <= math.log10(value) <= high + 0.03:
                canvas.line(left, height_of(value), right, height_of(value), "grid")
                canvas.text(left - 6, height_of(value) + 4, f"{value:g}", "small", "end")
    step = (right - left - 20) / max(len(levels) - 1, 1)
    at = [left + 10 + step * index for index in range(len(levels))]
    for place, level in zip(at, levels):
        canvas.text(place, top + height, f"{level:,}", "small", "middle")
    for runtime, line in lines.items():
        points = [(place, height_of(value)) for place, value in zip(at, line) if value]
        path = " ".join(f"{'L' if index else 'M'}{px:.1f} {py:.1f}" for index, (px, py) in enumerate(points))
        canvas.parts.append(f'<path class="{css(runtime)}" d="{path}"/>')
        canvas.parts += [f'<circle class="{css(runtime)}" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in points]
