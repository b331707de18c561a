"""Pictures of several models on shared scales; margins; counts without a checkpoint."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmlt.functional import dbm_class_margin, dbm_logits
from mmlt.visualization import draw_dbm_margins, draw_embedding_grid, draw_separability_grid

ROOT = Path(__file__).parents[2]
COUNTS = [500, 200, 60, 30, 5]


def matrix(low: float, high: float) -> np.ndarray:
    part = np.linspace(low, high, 25).reshape(5, 5)
    part[np.arange(5), np.arange(5)] = 1.0
    return part


def test_all_models_have_one_colour_range():
    matrices = {'CE': matrix(0.2, 0.5), 'BCE': matrix(0.5, 0.6), 'BCE3S': matrix(0.4, 0.9)}
    fig = draw_separability_grid(matrices, COUNTS, 'digits')
    images = [axes.images[0] for axes in fig.axes if axes.images]
    assert [axes.get_title() for axes in fig.axes[:3]] == list(matrices)
    assert len({image.get_clim() for image in images[:3]}) == 1
    low, high = images[0].get_clim()
    assert 20 < low < 25
    assert 85 < high < 90
    # One colour bar, with arrows for what is beyond its ends.
    assert len(fig.axes) == 4
    shown = np.ma.filled(images[1].get_array(), np.nan)
    wanted = 100 * matrix(0.5, 0.6)
    np.fill_diagonal(wanted, np.nan)
    np.testing.assert_allclose(shown, wanted)


def test_classes_are_ranked_as_in_the_picture_of_one_model():
    order = [4, 0, 3, 1, 2]
    ranked = draw_separability_grid({'a': matrix(0.1, 0.9)}, COUNTS)
    mixed = matrix(0.1, 0.9)[np.ix_(order, order)]
    mixed = draw_separability_grid({'a': mixed}, [COUNTS[k] for k in order])
    one, two = (np.ma.filled(f.axes[0].images[0].get_array(), -1) for f in (ranked, mixed))
    np.testing.assert_allclose(one, two)


@pytest.mark.parametrize(('number', 'shape'), [(3, (1, 3)), (5, (2, 3)), (8, (2, 4)), (9, (3, 3))])
def test_models_fill_rows_of_equal_length(number, shape):
    models = {f'm{i}': matrix(0.1, 0.9) for i in range(number)}
    fig = draw_separability_grid(models, COUNTS)
    layout = fig.axes[0].get_subplotspec().get_gridspec().get_geometry()
    assert layout == shape


def test_a_class_has_one_colour_in_every_plane():
    rng = np.random.default_rng(0)
    # The second model has no sample of the first class.
    labels = {'CE': np.arange(20) % 5, 'BCE': np.arange(20) % 4 + 1}
    parts = {name: (rng.normal(size=(20, 2)), part) for name, part in labels.items()}
    fig = draw_embedding_grid(parts, COUNTS, class_names=list('abcde'))
    first, second = (axes.collections for axes in fig.axes[:2])
    for k in range(5):
        assert tuple(first[k].get_facecolor()[0]) == tuple(second[k].get_facecolor()[0])
    assert [len(c.get_offsets()) for c in second] == [0, 5, 5, 5, 5]
    assert fig.legends[0].texts[0].get_text() == 'a (500)'


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: draw_separability_grid({}, COUNTS), 'at least one model'),
        (lambda: draw_separability_grid({'a': np.eye(4)}, COUNTS), r'shape \(5, 5\)'),
        (lambda: draw_separability_grid({'a': matrix(0, 1)}, COUNTS, columns=0), 'columns'),
        (lambda: draw_embedding_grid({'a': ([[0, 1]], [7])}, COUNTS), 'labels'),
        (lambda: draw_dbm_margins(COUNTS, max_margin=-1), 'max_margin'),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_margins_are_those_of_the_loss():
    fig = draw_dbm_margins(COUNTS, max_margin=0.1)
    lines = fig.axes[0].lines
    margins = dbm_class_margin(COUNTS, 0.1).double()
    for k, whole, part in zip((0, 2, 4), lines[::2], lines[1::2]):
        assert set(part.get_ydata().round(9)) == {round(margins[k].item(), 9)}
        for degrees in (30, 90, 120):
            angle = torch.tensor(np.deg2rad(degrees))
            cosine = torch.full((1, 5), 1.0, dtype=torch.float64)  # others are nearer
            cosine[0, k] = angle.cos()
            logit = dbm_logits(cosine, torch.tensor([k]), margins, 1.0)[0, k]
            found = whole.get_ydata()[degrees]
            assert found == pytest.approx(logit.acos().item() - angle.item(), abs=1e-7)


def test_counts_are_drawn_without_a_checkpoint(tmp_path):
    words = ['digits-lt-if50', 'digits-lt-if50,val_fraction=0.2', '--margins', '--out', tmp_path]
    tool = ROOT / 'tools/analysis_tools/plot_class_counts.py'
    result = subprocess.run(
        [sys.executable, tool, *words], capture_output=True, text=True,
        env={'PYTHONPATH': str(ROOT), 'PATH': '/usr/bin:/bin'},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    names = {path.name for path in tmp_path.glob('*.png')}
    stems = ('digits-lt-if50', 'digits-lt-if50_val_fraction-0.2')
    assert names == {f'{kind}_{s}.png' for kind in ('class_counts', 'dbm_margins') for s in stems}
