"""What all pictures share: files, settings, legends, titles; and the examples in the docstrings."""

import doctest
import importlib
import inspect
import io
import pkgutil
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.lines import Line2D
from PIL import Image

from mmlt import visualization
from mmlt.visualization import (
    draw_class_accuracy,
    draw_class_counts,
    draw_contact_sheet,
    draw_embedding,
    draw_separability_matrix,
    render,
    save_figure,
)
from mmlt.visualization.style import (
    DPI,
    GROUP_COLORS,
    MODEL_COLORS,
    legend_below,
    model_styles,
    new_figure,
    style,
    text_width,
)

SVG = '{http://www.w3.org/2000/svg}'
XLINK = '{http://www.w3.org/1999/xlink}'
MODULES = sorted(
    found.name
    for found in pkgutil.iter_modules(visualization.__path__, f'{visualization.__name__}.')
)


def pictures():
    """Pictures with every kind of mark: bars, lines, points, pixels, images."""
    random = np.random.RandomState(0)
    counts = np.arange(300, 0, -1)
    return {
        'bars': draw_class_counts([500, 50, 5], 'CIFAR'),
        'points': draw_class_accuracy(random.uniform(0, 100, 300), counts, 'CIFAR'),
        'cells': draw_separability_matrix(random.uniform(0, 1, (300, 300)), counts, 'CIFAR'),
        'plane': draw_embedding(random.randn(3000, 2), np.arange(3000) % 300, counts, 'CIFAR'),
        'images': draw_contact_sheet([np.eye(8, dtype=np.uint8)] * 2, ['a', 'b'], 2),
    }


@pytest.mark.parametrize('name', MODULES)
def test_the_examples_in_the_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name), extraglobs=dict(torch=torch))
    assert result.failed == 0
    assert result.attempted or name.endswith('.inputs')


def test_everything_public_has_a_docstring_that_names_its_arguments():
    for name in visualization.__all__:
        thing = getattr(visualization, name)
        doc = inspect.getdoc(thing)
        if name.startswith(('draw', 'embed', 'read', 'save')):
            assert all(f'{argument}:' in doc for argument in inspect.signature(thing).parameters)
        assert doc


@pytest.mark.parametrize('name', pictures())
def test_files_can_be_opened_and_refer_to_nothing_outside(name, tmp_path):
    fig = pictures()[name]
    png, svg = save_figure(fig, tmp_path / 'new' / 'v1.2 picture')
    assert [png.name, svg.name] == ['v1.2 picture.png', 'v1.2 picture.svg']
    with Image.open(png) as image:
        image.load()
        assert image.size == tuple(int(side * DPI) for side in fig.get_size_inches())
        assert len(image.getcolors(image.width * image.height)) > 3
    text = svg.read_text(encoding='utf-8')
    assert '<!DOCTYPE' not in text
    assert '<metadata' not in text
    root = ElementTree.fromstring(text)
    links = [e.get(key) for e in root.iter() for key in ('href', f'{XLINK}href') if e.get(key)]
    assert all(link.startswith(('#', 'data:image/png;base64,')) for link in links)
    written = [''.join(element.itertext()) for element in root.iter(f'{SVG}text')]
    assert fig.texts[0].get_text() in written


@pytest.mark.parametrize('name', pictures())
def test_same_input_gives_same_bytes(name):
    first, second = pictures()[name], pictures()[name]
    for file_format in ('png', 'svg'):
        content = render(first, file_format)
        assert content == render(second, file_format)
        assert content == render(first, file_format)


def test_thousands_of_marks_are_pixels_in_the_svg():
    few = draw_class_accuracy(np.full(100, 50.0), np.arange(100, 0, -1))
    many = draw_class_accuracy(np.full(8142, 50.0), np.arange(8142, 0, -1))
    assert render(few, 'svg').count(b'<use') > 100
    assert render(many, 'svg').count(b'<use') < 100
    assert len(render(many, 'svg')) < 1e6


def test_the_users_settings_are_neither_used_nor_changed():
    wanted = render(draw_class_counts([500, 5]), 'png')
    with matplotlib.rc_context({'font.size': 30, 'axes.facecolor': 'red', 'svg.fonttype': 'path'}):
        before = dict(matplotlib.rcParams)
        assert render(draw_class_counts([500, 5]), 'png') == wanted
        assert dict(matplotlib.rcParams) == before


def test_no_figure_is_left_with_pyplot():
    before = pyplot.get_fignums()
    assert all(len(render(fig, 'png')) > 1000 for fig in pictures().values())
    assert pyplot.get_fignums() == before


def test_a_long_title_is_wrapped_and_the_axes_stay_below_it():
    fig = new_figure('Heading', 'a/long/path/of/a/checkpoint.pth ' * 8)
    axes = fig.add_subplot()
    render(fig, 'png')
    width, height = fig.get_size_inches() * fig.dpi
    boxes = [text.get_window_extent() for text in fig.texts]
    assert all(box.x0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)
    assert fig.texts[1].get_text().count('\n') >= 2
    assert boxes[0].y0 >= boxes[1].y1
    assert axes.get_tightbbox().y1 <= boxes[1].y0


@pytest.mark.parametrize('number', [1, 4, 40])
@style()
def test_legend_takes_no_room_from_the_axes_and_stays_inside(number):
    fig = new_figure('Heading', 'title')
    axes = fig.add_subplot()
    height = fig.get_figheight()
    legend_below(fig, [Line2D([], [], label=f'a model {i} of a long name') for i in range(number)])
    render(fig, 'png')
    (box,) = [legend.get_window_extent() for legend in fig.legends]
    assert box.x0 >= 0
    assert box.x1 <= fig.bbox.x1
    assert box.y0 >= 0
    assert box.y1 <= axes.get_tightbbox().y0
    assert axes.get_window_extent().height > 2 * fig.dpi
    assert (fig.get_figheight() > height) == (number == 40)
    assert fig.texts[0].get_window_extent().y1 <= fig.bbox.y1


def test_columns_of_a_legend_do_not_mix_the_parts():
    fig = new_figure('Heading', '')
    parts = [
        [Line2D([], [], label=f'{part}{i}') for i in range(n)] for part, n in zip('ab', (2, 4))
    ]
    legend_below(fig, *parts)
    names = [text.get_text() for text in fig.legends[0].texts]
    assert names == ['a0', 'a1', ' ', 'b0', 'b1', 'b2', 'b3', ' ', ' ']


def test_text_width_is_that_of_the_drawn_text():
    fig = new_figure('A heading of some words', '')
    render(fig, 'png')
    drawn = fig.texts[0].get_window_extent().width / fig.dpi
    assert text_width('A heading of some words', 13, 'bold') == pytest.approx(drawn, rel=0.03)


def test_models_differ_from_each_other_and_from_the_groups():
    styles = model_styles([str(i) for i in range(16)])
    assert len({tuple(style.values()) for style in styles.values()}) == 16
    assert not set(MODEL_COLORS) & set(GROUP_COLORS.values())
    with pytest.raises(ValueError, match='at most 16 models .* got 17'):
        model_styles([str(i) for i in range(17)])


@pytest.mark.parametrize('suffix', ['.png', '.SVG'])
def test_a_path_with_suffix_is_refused(suffix, tmp_path):
    with pytest.raises(ValueError, match='path must have no suffix'):
        save_figure(draw_class_counts([1]), tmp_path / f'a{suffix}')


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="file_format must be 'png' or 'svg', got 'pdf'"):
        render(draw_class_counts([1]), 'pdf')


def test_png_is_as_large_as_the_figure_at_150_dpi():
    fig = draw_class_counts([500, 5])
    with Image.open(io.BytesIO(render(fig, 'png'))) as image:
        assert image.size == (int(7.2 * 150), int(4.4 * 150))
