import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from planted_study import clinical_inputs, genetic_inputs, layer

from pipeline.inspection.pareto import pareto_front
from pipeline.report.figures import Panel, drawn, panels, picture, png, selection_bars
from pipeline.report.heatmap import (
    BAR_WIDTH,
    FAINTEST,
    HeatMap,
    others_text,
    strongest_rows,
    weight_scale,
    zeroed_text,
)
from pipeline.report.interactive import bokeh_plot
from pipeline.report.plots import (
    Boxes,
    Lines,
    Note,
    Points,
    Spans,
    Trajectory,
    lambda_paths,
    trajectories,
)
from pipeline.report.raster import FAMILIES, PALETTE, ZERO, ZEROED, ZEROED_LINE
from pipeline.results import Inputs

BOTH = clinical_inputs() + genetic_inputs()


def cell(picture: np.ndarray, heat: HeatMap, row: int, unit: int) -> int:
    """The palette index in the middle of a cell."""
    y = int(heat.tops[row]) + heat.cell_height // 2
    return int(picture[y, heat.left + unit * heat.cell_width + heat.cell_width // 2])


def decoded(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def test_cells_are_centered_on_zero_and_zeroed_variables_are_gray():
    inputs = Inputs(("a", "c=1", "c=2", "z"), ("a", "c", "c", "z"), ("clinical",) * 4)
    weights = np.array([[1.0, -1.0, 0.0], [0.5, 1e-9, -1e-9], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    heat = HeatMap(inputs, 3, simulated=False)
    picture = heat.pixels(weights, "none c0 s0")
    assert [cell(picture, heat, 0, u) for u in range(3)] == [2 * ZERO, 0, ZERO]
    faint = FAINTEST  # of 90 steps, for the smallest weight; 0.5 of the scale is 0.5**0.4 further
    half = round(faint + (ZERO - faint) * 0.5**0.4)
    assert [cell(picture, heat, 1, u) for u in range(3)] == [
        ZERO + half,
        ZERO + faint,
        ZERO - faint,
    ]
    assert cell(picture, heat, 2, 0) == ZERO  # a zero column of a kept variable stays white
    assert cell(picture, heat, 3, 0) in (ZEROED, ZEROED_LINE)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB colors, 0 … 1: what is left of them in gray."""
    linear = np.where(rgb <= 0.04045 * 255, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def rows_of_cells(heat: HeatMap, png: bytes) -> np.ndarray:
    """(rows, cell height, width, 3) colors of the field of cells, as a browser shows them."""
    shown, right = np.asarray(decoded(png)), heat.left + heat.cell_width * heat.units
    return np.stack([shown[t : t + heat.cell_height, heat.left : right] for t in heat.tops])


@pytest.mark.parametrize("rows", [44, 400])
def test_kept_rows_are_never_white_and_zero_rows_look_zero(rows):
    names = tuple(f"x{i}" for i in range(rows))
    inputs = Inputs(names, names, ("clinical",) * rows)
    kept = np.arange(0, rows, 3)
    weights = np.zeros((rows, 50))
    weights[kept] = np.random.default_rng(0).normal(size=(len(kept), 50)) * 1e-4
    weights[kept[1]] *= 3e4  # one row that on a linear scale would leave all others white
    heat = HeatMap(inputs, 50, simulated=False)
    cells = rows_of_cells(heat, heat.png(weights, "group_lasso c0 s0"))
    light = luminance(cells.astype(float)).mean(axis=(1, 2))
    zeroed = np.setdiff1d(np.arange(rows), kept)
    assert np.ptp(light[zeroed]) == 0
    assert light[kept].max() < light[zeroed].min() - 0.01  # darker than these, in gray too
    saturation = np.ptp(cells.astype(int), axis=3)
    assert saturation[zeroed].max() == 0  # flat gray from end to end
    assert all(len(np.unique(cells[z][0], axis=0)) == 1 for z in zeroed)
    assert (saturation[kept].max(axis=(1, 2)) > 20).all()


def test_the_variable_of_the_largest_norm_is_the_darkest_and_has_the_longest_bar():
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(39, 50)) * rng.uniform(0.01, 0.05, size=(39, 1))
    age = BOTH.columns.index("age")
    weights[age] *= 0.1 / np.abs(weights[age]).mean()
    weights[25] *= 20  # a genetic dimension far above all clinical variables
    heat = HeatMap(BOTH, 50, simulated=True)
    png = heat.png(weights, "x")
    light = luminance(rows_of_cells(heat, png).astype(float)).mean(axis=(1, 2))
    assert np.argmin(light[:19]) == age
    picture = heat.pixels(weights, "x")
    strip = picture[:, heat.strip : heat.strip + BAR_WIDTH]
    bars = (strip[heat.tops + heat.cell_height // 2] >= FAMILIES).sum(axis=1)
    norms = np.linalg.norm(weights, axis=1)
    alone = [i for i in range(39) if BOTH.variables.count(BOTH.variables[i]) == 1]
    expected = np.maximum(np.round(BAR_WIDTH * norms[alone] / norms.max()), 2)
    assert bars[alone].tolist() == expected.tolist()


def test_of_many_columns_the_strongest_variables_are_shown_whole_and_the_others_counted():
    names = tuple(f"x{i}" for i in range(5000))
    variables = ("pair", "pair", *names[2:])
    inputs = Inputs(names, variables, ("clinical",) * 5000)
    weights = np.zeros((5000, 4))
    weights[1] = 5.0  # of the pair one column alone has weights
    weights[100:400] = np.linspace(1, 2, 300)[:, None]
    rows = strongest_rows(inputs, weights)
    assert rows.tolist() == [0, 1, *range(302, 400)]
    assert strongest_rows(inputs, np.zeros((5000, 4))).tolist() == [0, 1]
    one = Inputs(names, ("wide",) * 5000, ("clinical",) * 5000)
    assert len(strongest_rows(one, weights)) == 100
    said = others_text(weights, inputs, rows)
    assert said == "the 99 strongest of 4,999 variables; of the others 202 are kept"
    width, height = decoded(HeatMap(inputs, 4, False).png(weights, "l1 c0 s0")).size
    assert width < 1000 and height < 1500
    shown = [Panel(n, inputs, w, n) for n, w in (("A", weights), ("B", weights[::-1]))]
    together, single = panels(shown, False)
    assert len(together) < 400_000 and decoded(single[0]).size == decoded(single[1]).size


def test_zero_is_white_and_the_colors_are_symmetric_in_lightness():
    colors = np.array(PALETTE[: 3 * (2 * ZERO + 1)]).reshape(-1, 3)
    assert colors[ZERO].tolist() == [255, 255, 255]
    assert colors[0, 2] > colors[0, 0] and colors[-1, 0] > colors[-1, 2]


def test_one_picture_does_not_leave_traces_in_the_next():
    heat = HeatMap(BOTH, 50, simulated=True)
    weights = layer(BOTH, ("age",), 50, 0)
    first = heat.png(weights, "l1 c0 s0 · best epoch 3")
    heat.png(layer(BOTH, BOTH.variable_names, 50, 1), "a far longer title · best epoch 33")
    assert heat.png(weights, "l1 c0 s0 · best epoch 3") == first


def test_the_subtitle_counts_what_is_zeroed_and_says_simulated():
    weights = layer(BOTH, BOTH.variable_names[:13], 50, 0)
    said = zeroed_text(weights, BOTH, simulated=True)
    assert said == "zeroed: 2 of 15 clinical, 20 of 20 genetic · genotypes simulated"
    assert "simulated" not in zeroed_text(weights[:19], clinical_inputs(), True)


def test_one_outlier_does_not_wash_out_the_others():
    weights = np.full((20, 50), 0.1)
    assert weight_scale(weights) == pytest.approx(0.1)
    weights[0, 0] = 30.0
    assert weight_scale(weights) == pytest.approx(0.1)
    assert weight_scale(np.zeros((2, 2))) == 1.0


@pytest.mark.parametrize(("rows", "units"), [(1, 1), (15, 50), (40, 50), (400, 50), (40, 600)])
def test_any_shape_gives_a_picture_of_sensible_size(rows, units):
    inputs = genetic_inputs(rows)
    png = HeatMap(inputs, units, True).png(layer(inputs, ("genetic_0",), units, 0), "x c0 s0")
    width, height = decoded(png).size
    assert 300 < width < 1000 and 100 < height < 1500 and len(png) < 200_000


def test_kept_rows_have_the_first_claim_to_a_label_among_400():
    inputs = genetic_inputs(400)
    heat = HeatMap(inputs, 50, True)
    strength = np.full(400, -1.0)
    strength[[3, 77, 201]] = 1.0
    chosen = heat._labeled_rows(strength)
    assert set(chosen[:3]) == {3, 77, 201}
    gaps = np.diff(np.sort(heat.tops[chosen]))
    assert gaps.min() >= heat.line


def test_no_layer_no_picture_and_a_wrong_shape_is_refused():
    heat = HeatMap(BOTH, 50, True)
    assert heat.png(None, "x") is None
    with pytest.raises(ValueError, match=r"\(39, 50\).*\(50, 39\)"):
        heat.png(np.zeros((50, 39)), "x")


def test_hostile_names_are_drawn_as_they_are():
    names = ("$\\frac{a}{b}$", "<script>alert(1)</script>", "new\nline\x00", "", "长", "x" * 500)
    inputs = Inputs(names, names, ("clinical",) * len(names))
    heat, plain = HeatMap(inputs, 5, False), HeatMap(inputs, 5, False).pixels(np.ones((6, 5)), "x")
    other = heat.pixels(np.ones((6, 5)), "$x_1$\n · y")
    assert (other[heat.top :] == plain[heat.top :]).all() and (other != plain).any()
    figure = selection_bars(names, [1.0] * 6, [0.5] * 6, "$\\bad{$")
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown[:3] == [names[0], names[1], "new line "] and shown[5] == "x" * 39 + "…"
    assert decoded(png(figure)).size[0] > 500  # drawn, without a parse error


def test_selection_bars_end_at_the_shares():
    axes = selection_bars(("age", "bmi"), [1.0, 0.25], [1.0, 0.5], "c0").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [1.0, 0.25]
    assert axes.lines[0].get_xdata().tolist() == [1.0, 0.5]


def test_panels_share_one_color_scale():
    small = clinical_inputs()
    faint, strong = np.full((19, 4), 0.1), np.full((19, 4), 1.0)
    together, single = panels(
        [Panel("a", small, faint, "A"), Panel("b", small, strong, "B")], False
    )
    assert len(single) == 2
    assert decoded(together).width > decoded(single[0]).width * 2
    colors = [decoded(image).getcolors(100_000) for image in single]
    darkest = (103, 0, 31)  # the red end
    area = [dict((c, n) for n, c in found).get(darkest, 0) for found in colors]
    assert area[1] > 10 * max(area[0], 1)


def torn() -> list[Trajectory]:
    """Three networks of two outcomes; E and F are lettered, and F died in the finish."""
    return [
        Trajectory({"kept_x": np.array([3.0, 2, 2]), "val": np.array([0.6, 0.7, 0.65])}, "x only",
                   2.0, 4, "E"),
        Trajectory({"kept_x": np.array([3.0, 3, 3]), "val": np.array([0.5, 0.6, 0.62])}, "x only",
                   np.nan, 5),
        Trajectory({"kept_x": np.array([3.0, 1, 1]), "val": np.array([0.6, 0.5, 0.4])}, "$nothing$",
                   1.0, 6, "F", {"kept_x": 0.0, "val": 0.41}),
    ]  # fmt: skip


TITLES = {"kept_x": "x kept", "val": "AUROC"}


def test_trajectories_are_colored_by_outcome_and_name_best_and_last_epoch_of_the_panels():
    plot = trajectories(torn(), TITLES, ["$nothing$", "x only"])
    assert [key.label for key in plot.legend] == ["x only", "$nothing$"]
    kept, score = plot.grid[0]
    assert kept.counts and not score.counts and score.title == "AUROC"
    lines = [m for m in score.marks if isinstance(m, Lines)]
    assert [(m.label, m.width, len(m.xs)) for m in lines] == [
        ("x only", 1.0, 2), ("$nothing$", 1.0, 1), ("", 2.4, 1), ("", 2.4, 1),
    ]  # fmt: skip
    assert lines[0].tips["seed"] == [4, 5] and lines[0].color == lines[2].color != lines[1].color
    notes = {m.text: (m.x, m.y) for m in score.marks if isinstance(m, Note)}
    assert notes["E, last 3"] == (3.0, 0.65) and notes["F, last 3"] == (3.0, 0.41)
    assert {text: x for text, (x, _) in notes.items() if "best" in text} == {
        "E, best 2": 2.0, "F, best 1": 1.0,
    }  # fmt: skip
    assert min(y for text, (_, y) in notes.items() if "best" in text) > 0.7
    ends = [(m.x.tolist(), m.y.tolist()) for m in kept.marks
            if isinstance(m, Points) and m.hollow]  # fmt: skip
    assert ends == [([3.0], [2.0]), ([3.0], [0.0])]  # of F what the finish left


def test_a_described_plot_is_drawn_as_a_picture_and_for_a_pointer_alike():
    plot = trajectories(torn(), TITLES)
    figure, model = drawn(plot), bokeh_plot(plot)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x only", "$nothing$"]
    axes, bokeh = figure.axes[1], model.children[1]
    assert axes.get_title(loc="left") == bokeh.title.text == "AUROC"
    by_matplotlib = [
        line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "None"
    ]
    drawn_lines = [r for r in bokeh.renderers if "ys" in r.data_source.data]
    by_bokeh = [y for r in drawn_lines for y in r.data_source.data["ys"]]
    assert len(by_matplotlib) == len(by_bokeh) == 5
    assert all(np.allclose(a, b) for a, b in zip(by_matplotlib, by_bokeh, strict=True))
    tips = drawn_lines[0].data_source.data
    assert tips["tip_0"] == [4, 5, 6] and tips["tip_1"] == ["x only", "x only", "$nothing$"]
    colors = [line.get_color() for line in axes.lines if line.get_marker() == "None"]
    assert colors == [c for r in drawn_lines for c in r.data_source.data["line_color"]]
    (scatter,) = [r for r in bokeh.renderers if "fill_color" in r.data_source.data]
    points = [m for m in plot.grid[0][1].marks if isinstance(m, Points)]
    assert scatter.data_source.data["x"].tolist() == [x for m in points for x in m.x]
    assert scatter.data_source.data["size"] == [1.35 * m.size for m in points for _ in m.x]
    notes = [text.get_text() for text in axes.texts]
    assert notes == [label.text for label in bokeh.center if hasattr(label, "text")]
    image = np.asarray(decoded(picture(plot)).convert("L"))
    assert image.shape[1] > 900 and (image < 120).mean() > 0.005  # lines and words are on it


def test_lambda_paths_draw_a_regularizer_each():
    table = pd.DataFrame({
        "regularizer": ["l1", "l1", "l2"], "lambda_l1": [0.1, 0.01, 0.0],
        "lambda_l2": [0.0, 0.0, 0.5], "val_r2_mean": [0.1, 0.2, 0.3],
        "val_r2_sd": [np.nan, 0.1, 0.0],
        "kept": [1, 2, 3], "configuration": [0, 1, 2],
    })  # fmt: skip
    shares = pd.DataFrame({"nothing": [0.0, 1.0, 0.5], "x": [1.0, 0.0, 0.5]})
    lambdas = {"l1": "lambda_l1", "l2": "lambda_l2"}
    plot = lambda_paths(table, lambdas, ("val_r2", "R²"), {"kept": "k"}, shares)
    assert [len(row) for row in plot.grid] == [2, 2, 2]
    score, shares = plot.grid[0][0], plot.grid[2][0]
    (line,) = [m for m in score.marks if isinstance(m, Lines)]
    assert line.xs[0].tolist() == [0.01, 0.1] and line.ys[0].tolist() == [0.2, 0.1]
    (span,) = [m for m in score.marks if isinstance(m, Spans)]
    assert span.low == pytest.approx([0.1, 0.1]) and span.high == pytest.approx([0.3, 0.1])
    boxes = [m for m in shares.marks if isinstance(m, Boxes)]
    assert [b.label for b in boxes] == ["nothing", "x"] and shares.x == "lambda_l1"
    assert boxes[0].top.tolist() == boxes[1].bottom.tolist() == [1.0, 0.0]
    assert boxes[1].top.tolist() == [1.0, 1.0]
    figure = drawn(plot)
    assert [a.get_xscale() for a in figure.axes] == ["log"] * 6
    assert [a.get_title(loc="left") for a in figure.axes[:2]] == ["l1", "l2"]
    heights = [patch.get_height() for patch in figure.axes[4].patches]
    assert heights == [1.0, 0.0, 0.0, 1.0]
    assert len(bokeh_plot(plot).children) == 6


def test_the_pareto_front_is_what_none_beats_in_both():
    kept, score = np.array([1, 2, 2, 3, 4]), np.array([0.5, 0.7, 0.6, 0.65, np.nan])
    assert pareto_front(kept, score, maximize=True) == [0, 1]
    assert pareto_front(kept, score, maximize=False) == [0]
