"""Reports of a trained model, and of several side by side."""

import csv
import importlib
import json
import math
import sys
from html.parser import HTMLParser

import commands
import numpy as np
import pytest
import torch
from commands import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.visualization import LocalVisBackend
from mmpretrain.registry import MODELS, VISBACKENDS
from PIL import Image
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from mmlt.analysis import build_loader, give_to_backends
from mmlt.analysis.model_page import page
from mmlt.datasets import DigitsLT
from mmlt.functional import classifier_separability

FOLDER = ROOT / 'tools' / 'analysis_tools'
CONFIG = str(ROOT / 'configs' / 'bce3s' / 'resnet20_digits-lt.py')
PICTURES = (
    'class_counts', 'per_class_accuracy', 'separability_matrix', 'classifier_separability',
    'compactness', 'separability', 'angular_distances', 'tsne', 'confusion_matrix', 'confusions',
    'reliability',
)  # fmt: skip
GROUPS = {'many': [0], 'medium': [1, 2, 3, 4], 'few': [5, 6, 7, 8, 9]}


def command(tool, *words):
    result = commands.command(sys.executable, f'tools/{tool}', *words)
    assert 'Traceback' not in result.stderr, result.stderr
    return result


def main(tool, *words):
    """Run a tool in this process."""
    sys.path.insert(0, str(FOLDER))
    try:
        importlib.import_module(tool).main(list(map(str, words)))
    finally:
        sys.path.remove(str(FOLDER))


class Page(HTMLParser):
    """Sources of a page, and the rows of its tables."""

    def __init__(self, path):
        super().__init__()
        self.images, self.links, self.rows, self.inside = [], [], [], False
        self.feed(path.read_text(encoding='utf-8'))
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == 'img':
            self.images.append(attrs['src'])
        self.links += [attrs[key] for key in ('src', 'href') if key in attrs]
        if tag == 'tr':
            self.rows.append([])
        self.inside = tag in ('td', 'th')

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1].append(data)


@VISBACKENDS.register_module()
class FolderVisBackend(LocalVisBackend):
    """Not the local one by its name, but as good as TensorBoard's to see what it is given."""


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('run')
    options = ['train_cfg.max_epochs=1', 'default_hooks.retraining.begin_epoch=125']
    result = command('train.py', CONFIG, '--work-dir', work_dir, '--cfg-options', *options)
    assert result.returncode == 0, result.stderr
    return work_dir / 'epoch_1.pth'


@pytest.fixture(scope='module')
def report(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp('report')
    words = ['--out', out, '--name', 'plain', '--max-per-class', '5']
    result = command('analysis_tools/analyze_model.py', CONFIG, checkpoint, *words)
    assert result.returncode == 0, result.stderr
    return out


@pytest.fixture(scope='module')
def adjusted(checkpoint, tmp_path_factory):
    """The same with adjusted logits, without t-SNE, and given to another backend."""
    out = tmp_path_factory.mktemp('adjusted')
    options = ['model.head.adjustment.tau=5.0', 'visualizer.vis_backends.0.type=FolderVisBackend']
    main(
        'analyze_model', CONFIG, checkpoint, '--out', out, '--no-tsne', '--name', '<adjusted>',
        '--cfg-options', *options,
    )  # fmt: skip
    return out


def values_of(folder, name='report.json'):
    return json.loads((folder / name).read_text())


def rows_of(folder):
    with open(folder / 'per_class.csv', newline='') as file:
        return list(csv.DictReader(file))


def column(folder, name):
    return np.array([float(row[name]) for row in rows_of(folder)])


def test_the_report_has_its_files(report):
    wanted = {f'{name}.{kind}' for name in PICTURES for kind in ('png', 'svg')}
    wanted |= {'index.html', 'report.json', 'predictions.npz', 'geometry.npz'}
    wanted |= {'per_class.csv', 'per_class.html'}
    assert {path.name for path in report.iterdir()} == wanted
    assert min(path.stat().st_size for path in report.iterdir()) > 500
    for name in PICTURES:
        with Image.open(report / f'{name}.png') as image:
            assert min(np.ptp(np.asarray(image.convert('RGB')), axis=(0, 1))) > 100


def test_accuracy_and_calibration_follow_from_the_predictions(report):
    values, arrays = values_of(report), np.load(report / 'predictions.npz')
    labels, predictions = arrays['labels'], arrays['predictions']
    data = DigitsLT('test')
    assert labels.tolist() == [data.get_data_info(i)['gt_label'] for i in range(600)]
    accuracy = values['accuracy']
    assert accuracy['all'] == pytest.approx(100 * accuracy_score(labels, predictions))
    assert accuracy['macro'] == pytest.approx(100 * balanced_accuracy_score(labels, predictions))
    for group, classes in GROUPS.items():
        inside = np.isin(labels, classes)  # 60 images a class
        found = 100 * accuracy_score(labels[inside], predictions[inside])
        assert accuracy[group] == pytest.approx(found)
    confidence, right, gap = arrays['confidence'].astype(float), labels == predictions, 0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        gap += abs(right[inside].sum() - confidence[inside].sum())
    assert values['calibration']['ece'] == pytest.approx(100 * gap / 600)


def test_a_runner_with_the_metrics_gives_the_same_numbers(report, checkpoint, tmp_path):
    counts = "class_counts='digits-lt-if50'"
    (tmp_path / 'config.py').write_text(
        f'_base_ = {CONFIG!r}\n'
        'model = dict(head=dict(keep_features=True))\n'
        f"test_evaluator = [dict(type='ShotAccuracy', {counts}),\n"
        f"    dict(type='CalibrationError', {counts}), dict(type='FeatureGeometry', {counts})]\n"
    )
    words = ['--out', tmp_path / 'metrics.json', '--work-dir', tmp_path]
    result = command('test.py', tmp_path / 'config.py', checkpoint, *words)
    assert result.returncode == 0, result.stderr
    wanted, values = values_of(tmp_path, 'metrics.json'), values_of(report)
    assert {f'shot/{k}': v for k, v in values['accuracy'].items()}.items() <= wanted.items()
    for key, value in values['calibration'].items():
        assert value == pytest.approx(wanted[f'calibration/{key}'], nan_ok=True)
    for measure in ('compactness', 'separability'):
        for key, value in values['geometry'][measure].items():
            name = f'geometry/{measure}' + ('' if key == 'mean' else f'_{key}')
            assert value == pytest.approx(wanted[name])
    # The line that a reader sees on the page is the tool's.
    line = next(line for line in result.stdout.splitlines() if line.startswith('no TTA'))
    assert ['plain', *line.split()[2:]] in Page(report / 'index.html').rows


def test_each_class_has_a_line(report, checkpoint):
    values, rows = values_of(report), rows_of(report)
    assert [int(row['train_images']) for row in rows] == values['class_counts']
    assert {row['test_images'] for row in rows} == {'60'}
    assert [row['shot_group'] for row in rows] == [g for g, part in GROUPS.items() for _ in part]
    assert column(report, 'accuracy').mean() == pytest.approx(values['accuracy']['macro'], abs=1e-3)
    for measure, parts in values['geometry'].items():
        found = column(report, measure)
        assert found.mean() == pytest.approx(parts['mean'], rel=1e-5)
        assert found.std() == pytest.approx(parts['std'], rel=1e-3, abs=1e-4)
        assert found[GROUPS['few']].mean() == pytest.approx(parts['few'], rel=1e-5)
    weight = torch.load(checkpoint, weights_only=True)['state_dict']['head.classifier.weight']
    np.testing.assert_allclose(
        column(report, 'classifier_separability'), classifier_separability(weight), rtol=1e-5
    )


@pytest.mark.parametrize('folder', ['report', 'adjusted'])
def test_the_page_asks_nothing_of_the_network(folder, request):
    out = request.getfixturevalue(folder)
    page = Page(out / 'index.html')
    assert len(page.images) == len(list(out.glob('*.png'))) == 11 - (folder == 'adjusted')
    assert page.links == page.images
    assert all(image.startswith('data:image/png;base64,') for image in page.images)
    assert '<script' not in (out / 'index.html').read_text()


def test_other_backends_are_given_the_pictures(adjusted):
    written = sorted(path.name for path in (adjusted / 'vis_data' / 'vis_image').iterdir())
    assert written == sorted(f'{name}_0.png' for name in PICTURES if name != 'tsne')
    given, own = (
        np.asarray(Image.open(path).convert('RGB'))
        for path in (
            adjusted / 'vis_data' / 'vis_image' / 'compactness_0.png',
            adjusted / 'compactness.png',
        )
    )
    np.testing.assert_array_equal(given, own)


def test_the_page_says_where_the_model_is_wrong(report):
    values, arrays = values_of(report), np.load(report / 'predictions.npz')
    labels, predictions = arrays['labels'], arrays['predictions']
    accuracy = [100 * (predictions[labels == k] == k).mean() for k in range(10)]
    worst = values['worst_classes']
    assert [row['accuracy'] for row in worst] == pytest.approx(sorted(accuracy))
    assert all(accuracy[int(row['name'])] == pytest.approx(row['accuracy']) for row in worst)
    first = values['confusions'][0]
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, predictions), 1)
    np.fill_diagonal(matrix, 0)
    assert first['images'] == matrix.max() == matrix[int(first['label']), int(first['prediction'])]
    assert first['percent'] == pytest.approx(100 * matrix.max() / 60)
    rows = Page(report / 'index.html').rows
    assert [first['label'], first['prediction'], str(first['images'])] in [r[:3] for r in rows]
    for group, (low, high) in values['accuracy_intervals'].items():
        assert 0 <= low <= values['accuracy'][group] <= high <= 100
    assert 'training set' in (report / 'class_counts.svg').read_text()
    assert 'test split' not in (report / 'class_counts.svg').read_text()


def test_a_group_without_classes_has_a_dash_for_its_interval(report, tmp_path):
    values = values_of(report)
    values['accuracy']['few'] = math.nan
    values['accuracy_intervals']['few'] = (math.nan, math.nan)
    (tmp_path / 'page.html').write_text(page('title', values, {}))
    accuracy, interval = (row[3] for row in Page(tmp_path / 'page.html').rows[1:3])
    assert accuracy == interval == '-'
    assert 'nan' not in (tmp_path / 'page.html').read_text()


def test_a_page_of_all_classes_sorts(report):
    text = (report / 'per_class.html').read_text()
    rows = Page(report / 'per_class.html').rows
    assert [row[0] for row in rows[1:]] == list('0123456789')
    assert text.count('<button>') == len(rows[1])
    assert text.count('<script>') == 1
    assert 'http' not in text


def test_tensorboard_is_given_the_pictures(report, tmp_path):
    cfg = Config.fromfile(CONFIG)
    cfg.visualizer.vis_backends = [dict(type='TensorboardVisBackend')]
    give_to_backends(cfg, tmp_path, {'tsne': (report / 'tsne.png').read_bytes()})
    assert any('tfevents' in path.name for path in tmp_path.rglob('*'))


def test_the_comparison_has_the_differences_to_the_first(report, adjusted, tmp_path):
    result = command('analysis_tools/compare_models.py', report, adjusted, '--out', tmp_path)
    assert result.returncode == 0, result.stderr
    first, second = values_of(report), values_of(adjusted)
    page = Page(tmp_path / 'index.html')
    # Without t-SNE in one of them, there is none to lay beside the other.
    assert len(page.images) == 7
    names = {path.stem for path in tmp_path.glob('*.png')}
    assert {'separability_matrix_grid', 'angular_distances'} <= names
    assert 'tsne_grid' not in names
    assert page.links == page.images
    few = [part['accuracy']['few'] for part in (first, second)]
    assert few[0] != few[1]
    table = page.rows[: 1 + next(i for i, row in enumerate(page.rows) if row[0] == '<adjusted>')]
    assert table[-2][3] == f'{few[0]:.2f}'
    assert table[-1][3] == f'{few[1]:.2f} ({few[1] - few[0]:+.2f})'
    deltas = values_of(tmp_path, 'comparison.json')['deltas']['<adjusted>']
    assert deltas['accuracy/few'] == pytest.approx(few[1] - few[0])
    assert deltas['compactness/mean'] == 0  # the features are the same
    moved = np.abs(column(adjusted, 'accuracy') - column(report, 'accuracy'))
    rows = page.rows[1 + next(i for i, r in enumerate(page.rows) if r[:2] == ['class', 'group']) :]
    assert [int(row[0]) for row in rows[:10]] == np.argsort(-moved, kind='stable').tolist()
    assert rows[0][3:] == [
        f'{column(report, "accuracy")[int(rows[0][0])]:.2f}',
        '{:.2f} ({:+.2f})'.format(
            column(adjusted, 'accuracy')[int(rows[0][0])],
            (column(adjusted, 'accuracy') - column(report, 'accuracy'))[int(rows[0][0])],
        ),
    ]
    gained_less_lost = deltas['changes/gained'] - deltas['changes/lost']
    assert gained_less_lost == pytest.approx(6 * deltas['accuracy/all'])  # of 600 images
    np.testing.assert_allclose(
        column(tmp_path, 'accuracy <adjusted> delta'),
        column(adjusted, 'accuracy') - column(report, 'accuracy'),
        atol=1e-3,
    )


def test_a_report_holds_what_pictures_of_several_models_are_made_of(report, checkpoint, tmp_path):
    arrays, labels = np.load(report / 'geometry.npz'), np.load(report / 'predictions.npz')['labels']
    rows = torch.load(checkpoint, weights_only=True)['state_dict']['head.classifier.weight']
    rows = rows.double()
    rows = torch.nn.functional.normalize(rows - rows.mean(dim=0))
    wanted = ((1 - rows @ rows.T) / 2).numpy()
    np.testing.assert_allclose(
        arrays['separability_matrix'], np.where(np.eye(10), 1, wanted), atol=1e-5
    )
    per_class = [arrays['angular_distances'][labels == k].mean() for k in range(10)]
    np.testing.assert_allclose(per_class, column(report, 'angular_distance'), rtol=1e-4)
    assert arrays['tsne_points'].shape == (50, 2)
    assert values_of(report)['dataset']['source'] == 'DigitsLT, split test'
    other = copy_of(report, tmp_path / 'other', name='other')
    (other / 'geometry.npz').write_bytes((report / 'geometry.npz').read_bytes())
    main('compare_models', report, other, '--out', tmp_path / 'out')
    assert (tmp_path / 'out' / 'tsne_grid.svg').is_file()
    assert len(Page(tmp_path / 'out' / 'index.html').images) == 8


def copy_of(report, folder, **changes):
    folder.mkdir()
    for path in ('per_class.csv', 'predictions.npz', 'report.json'):
        (folder / path).write_bytes((report / path).read_bytes())
    (folder / 'report.json').write_text(json.dumps(values_of(report) | changes))
    return folder


def test_models_of_one_name_are_called_by_their_folders(report, tmp_path):
    main('compare_models', report, copy_of(report, tmp_path / 'twin'), '--out', tmp_path / 'out')
    assert list(values_of(tmp_path / 'out', 'comparison.json')['values'])[1] == 'twin'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(class_counts=[114, 72, 47, 30, 20, 12, 8, 5, 3, 2]), 'class 1 has 72 and 73'),
        (dict(class_counts=[114]), r'is damaged \(per_class.csv has 10 of 1 classes\)'),
        (dict(few=10), 'the threshold few of .* differs: 10 and 20'),
        (dict(split='train'), 'reports of other images: split train and test'),
        (dict(dataset=dict(name='blurred')), 'reports of other images: dataset'),
        ({}, 'image 7 is of class 1 and 0'),
    ],
)
def test_reports_that_do_not_compare_are_refused(report, tmp_path, changes, message):
    other = copy_of(report, tmp_path / 'other', **changes)
    if not changes:
        arrays = dict(np.load(report / 'predictions.npz'))
        arrays['labels'][7], wanted = 1, arrays['labels'][7]
        np.savez(other / 'predictions.npz', **arrays)
        message = message.replace('and 0', f'and {wanted}')
    with pytest.raises(ValueError, match=message):
        main('compare_models', report, other, '--out', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('analyze_model {config} nowhere.pth --out {0}', 'CHECKPOINT nowhere.pth does not exist'),
        ('analyze_model nowhere.py x.pth --out {0}', 'CONFIG nowhere.py does not exist'),
        ('analyze_model {config} {config} --out {0}', 'is a config file, expected a checkpoint'),
        ('compare_models {0} --out {0}', 'REPORT_DIR must be two or more folders'),
        ('compare_models {0} {0}/. --out {0}', 'REPORT_DIR must be two or more folders'),
        ('compare_models {0} x --out {0}', '--out must not be one of the reports'),
    ],
)
def test_a_mistake_on_the_command_line_is_named(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(*words.format(tmp_path, config=CONFIG).split())
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_other_names_of_the_classes_are_refused(report, tmp_path):
    other = copy_of(report, tmp_path / 'other')
    text = (other / 'per_class.csv').read_text().replace('\n4,4,', '\n4,four,')
    (other / 'per_class.csv').write_text(text)
    with pytest.raises(ValueError, match="differ: 4 is 'four' and '4'"):
        main('compare_models', report, other, '--out', tmp_path / 'out')


@pytest.mark.parametrize('name', ['report.json', 'per_class.csv', 'predictions.npz'])
@pytest.mark.parametrize('part', [0, 0.5])
def test_a_report_that_was_cut_short_is_named(report, tmp_path, name, part):
    other = copy_of(report, tmp_path / 'other')
    content = (other / name).read_bytes()
    (other / name).write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ValueError, match=r'other is damaged \(.*\): run analyze_model.py again'):
        main('compare_models', report, other, '--out', tmp_path / 'out')


def test_a_folder_without_report_is_named(report, tmp_path):
    with pytest.raises(ValueError, match=f'{tmp_path} has no report.json'):
        main('compare_models', report, tmp_path, '--out', tmp_path / 'out')


def test_a_checkpoint_of_another_config_is_named(checkpoint, tmp_path):
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    del weights['head.classifier.weight']
    torch.save(weights, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='does not fit the model: missing head.classifier.weight'):
        main('analyze_model', CONFIG, tmp_path / 'x.pth', '--out', tmp_path)


def test_training_images_are_seen_as_in_the_test():
    cfg = Config.fromfile(CONFIG)
    cfg.train_dataloader.dataset = dict(
        type='MixPartnerDataset', dataset=cfg.train_dataloader.dataset
    )
    init_default_scope('mmpretrain')
    loader = build_loader(cfg, 'train')
    images = torch.cat([batch['inputs'] for batch in loader])
    data = DigitsLT('train')
    plain = {data.get_data_info(i)['img'].transpose(2, 0, 1).tobytes() for i in range(len(data))}
    assert len(images) == 314
    assert {image.numpy().tobytes() for image in images} <= plain


def test_without_a_classifier_its_parts_are_left_out(tmp_path, capsys):
    cfg = Config.fromfile(CONFIG)
    cfg.model.head = dict(
        type='StackedLinearClsHead', num_classes=10, in_channels=64, mid_channels=[8]
    )
    cfg.model.data_preprocessor = dict(cfg.data_preprocessor, type='ClsDataPreprocessor')
    cfg.dump(tmp_path / 'config.py')
    torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / 'x.pth')
    out = tmp_path / 'out'
    main('analyze_model', tmp_path / 'config.py', tmp_path / 'x.pth', '--out', out, '--no-tsne')
    assert not (out / 'separability_matrix.png').exists()
    assert 'The head has no classifier' in (out / 'index.html').read_text()
    values = values_of(out)
    assert values['neural_collapse'] is None
    assert 'classifier_separability' not in values['geometry']
    assert 0 < values['geometry']['angular_distance']['mean'] < 90  # to the class means
