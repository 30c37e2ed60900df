"""The curve of accuracy against the radius of the attack."""

from collections.abc import Sequence

import plotly.graph_objects as go

from reports.attack.attack_curve import CurvePoint
from reports.page.figure_style import BLUE, ORANGE, VERMILLION, styled

BAND = "rgba(0,114,178,0.18)"  # BLUE


def curve_figure(points: Sequence[CurvePoint], pgd_steps: int) -> go.Figure:
    """Accuracy with its Wilson band, what the trial recorded, and the worst case if it differs anywhere."""
    radii = [point.radius_255 for point in points]
    figure = go.Figure()
    bounds = [[point.interval[side] for point in points] for side in (0, 1)]
    figure.add_scatter(
        x=radii + radii[::-1], y=bounds[1] + bounds[0][::-1], fill="toself", fillcolor=BAND, mode="lines",
        line={"width": 0}, hoverinfo="skip", name="Wilson 95% interval",
    )  # fmt: skip
    figure.add_scatter(
        x=radii, y=[point.accuracy for point in points], mode="lines+markers", line={"color": BLUE, "width": 2.5},
        name=f"PGD-{pgd_steps}, by the rule of the evaluation", hovertext=[_hover(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    if any(point.worst_case != point.accuracy for point in points):
        figure.add_scatter(
            x=radii, y=[point.worst_case for point in points], mode="lines",
            line={"color": ORANGE, "width": 2, "dash": "dot"}, name="worst case of all radii up to this one",
            hovertemplate="%{x:g}/255: worst case %{y:.1f}%<extra></extra>",
        )  # fmt: skip
    known = [point for point in points if point.recorded is not None]
    figure.add_scatter(
        x=[point.radius_255 for point in known], y=[point.recorded for point in known], mode="markers",
        marker={"symbol": "circle-open", "size": 15, "color": VERMILLION, "line": {"width": 2}},
        name="recorded by the trial", hovertemplate="%{x:g}/255: recorded %{y:.1f}%<extra></extra>",
    )  # fmt: skip
    styled(figure, height=460)
    figure.update_layout(margin={"t": 24})
    figure.update_xaxes(title={"text": "l∞ radius (1/255)"}, dtick=2)
    figure.update_yaxes(title={"text": "test accuracy (%)"}, range=[-3, 103])
    return figure


def _hover(point: CurvePoint) -> str:
    low, high = point.interval
    return f"{point.radius_255:g}/255: {point.accuracy:.1f}% [{low:.1f}, {high:.1f}], n={point.num_images:,}"
