"""The README's plot of database size against turns, as an SVG for light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Mapping

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 180, 44, 40
COLOURS = ("#1f9e78", "#d95f30")

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 15px; font-weight: 600; fill: #24292f }
  .grid { stroke: #8c959f; stroke-opacity: .3 }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) { text { fill: #9da7b3 } .title { fill: #e6edf3 } }
"""


def nice_step(top: float, lines: int = 5) -> float:
    """A round distance between grid lines: 1, 2 or 5 times a power of ten."""
    raw = top / lines
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)


def chat_growth_svg(growth: Mapping[str, Mapping[int, int]], title: str) -> str:
    """Draw one line for each saver; `growth` maps its name to {turns: bytes}."""
    turns = max(max(curve) for curve in growth.values())
    most = max(max(curve.values()) for curve in growth.values()) / 1e6
    step = nice_step(most)
    top = step * math.ceil(most / step)

    def x(turn: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * turn / turns

    def y(megabytes: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * megabytes / top

    parts = [f'<text class="title" x="{LEFT}" y="24">{title}</text>']
    for i in range(round(top / step) + 1):
        height = y(i * step)
        parts.append(f'<path class="grid" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>')
        label = f"{i * step:g} MB"
        parts.append(f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{label}</text>')
    across = nice_step(turns, 4)
    for i in range(int(turns / across) + 1):
        label = f"{i * across:g}" + (" turns" if i == int(turns / across) else "")
        at = f'x="{x(i * across):.1f}" y="{HEIGHT - BOTTOM + 22}"'
        parts.append(f'<text {at} text-anchor="middle">{label}</text>')
    for colour, (name, curve) in zip(COLOURS, growth.items(), strict=True):
        points = " ".join(f"{x(t):.1f},{y(b / 1e6):.1f}" for t, b in sorted(curve.items()))
        parts.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
        last = curve[max(curve)] / 1e6
        at = f'x="{WIDTH - RIGHT + 10}" y="{y(last) + 4:.1f}"'
        label = f"{name}: {last:.1f} MB"
        parts.append(f'<text {at} style="fill:{colour};font-weight:600">{label}</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n{body}\n</svg>\n"
    )
