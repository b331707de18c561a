"""The checkpoint that comes with the package: what its log says, and that the tools take it."""

import csv
import hashlib
import re
import sys

import cv2
import pytest
from commands import ROOT, command

from mmlt import checkpoint
from mmlt.datasets import DigitsLT, LongTailedDataset

CONFIG = ROOT / 'configs/bce3s/resnet14_digits-lt.py'
(WEIGHTS,) = CONFIG.parent.glob('resnet14_digits-lt-*.pth')
LOG = CONFIG.with_suffix('.log')


def test_the_file_is_small_whole_and_of_the_draw_that_it_names():
    content = WEIGHTS.read_bytes()
    assert len(content) < 500_000
    assert WEIGHTS.stem.endswith('-' + hashlib.sha256(content).hexdigest()[:8])
    meta = checkpoint.load(WEIGHTS)['meta']
    draw = LongTailedDataset(DigitsLT('train'), 'digits-lt-if50')
    assert meta['training_draw'] == draw.split_hash
    assert meta['epoch'] == 125
    assert list(meta['dataset_meta']['classes']) == list('0123456789')


def test_it_has_the_accuracy_that_its_log_states(tmp_path):
    wanted = re.findall(r'^epoch 125 \(last\) (.*)$', LOG.read_text(), re.MULTILINE)[-1].split()
    done = command(sys.executable, 'tools/test.py', CONFIG, WEIGHTS, '--work-dir', tmp_path)
    assert done.returncode == 0, done.stderr
    found = next(line for line in done.stdout.splitlines() if line.startswith('no TTA'))
    # All of 600 images: another processor may see two of them otherwise.
    assert float(found.split()[5]) == pytest.approx(float(wanted[3]), abs=0.35)


def test_it_names_digits_in_files(tmp_path):
    test = DigitsLT('test')
    for number in range(20):
        image = cv2.resize(test.get_data_info(number)['img'], (16, 16))  # of any size
        cv2.imwrite(str(tmp_path / f'{number:02}.png'), image)
    out = tmp_path / 'out.csv'
    done = command(sys.executable, 'tools/predict.py', CONFIG, WEIGHTS, tmp_path, '--out', out)
    assert done.returncode == 0, done.stderr
    with open(out, newline='') as file:
        names = [int(row['class_1']) for row in csv.DictReader(file)]
    right = sum(name == label for name, label in zip(names, test.get_gt_labels()[:20]))
    assert (len(names), right >= 16) == (20, True)
