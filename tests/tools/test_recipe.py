"""The README's recipe for one's own photos, pasted: from a folder to predictions."""

import csv
import re
import shlex
import sys

import numpy as np
from commands import ROOT, command
from PIL import Image

NAMES = ['ant', 'bee', 'cat']


def draw(path, k, rng):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.randint(0, 100, (40, 50, 3), np.uint8)
    pixels[..., k] += 120
    Image.fromarray(pixels).save(path)


def test_the_recipe_as_printed(tmp_path):
    rng = np.random.RandomState(0)
    for k, name in enumerate(NAMES):
        for i in range(26):
            draw(tmp_path / 'PHOTOS' / name / f'{i}.jpg', k, rng)
        draw(tmp_path / 'new' / f'{name}.jpg', k, rng)
    for name in ('tools', 'configs'):  # as in a checkout, without writing to this one
        (tmp_path / name).symlink_to(ROOT / name)
    blocks = re.findall(r'```bash\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)
    (recipe,) = (block for block in blocks if 'split_folder.py PHOTOS' in block)
    lines = recipe.splitlines()
    assert len(lines) == 5
    for line in lines:
        words = []
        for word in shlex.split(line):
            found = sorted(tmp_path.glob(word)) if '*' in word else []
            words += [str(path.relative_to(tmp_path)) for path in found] or [word]
        assert words[0] == 'python'
        result = command(sys.executable, *words[1:], cwd=tmp_path)
        assert result.returncode == 0, result.stdout[-1000:] + result.stderr[-2000:]
    with open(tmp_path / 'predictions.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['image'] for row in rows] == [f'new/{name}.jpg' for name in NAMES]
    assert [row['class_1'] for row in rows] == NAMES  # by colour: learned, and named rightly
