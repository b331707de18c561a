"""Lists, JSON files, counts and archives that are damaged or made to do harm."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlt import load_class_counts
from mmlt.datasets import path_label_list
from mmlt.datasets.inaturalist import read_coco_labels
from mmlt.datasets.path_label_list import read_path_label_list

ROOT = Path(__file__).parents[2]
GZIP = gzip.compress(b'a.jpg 0\n' * 9, mtime=0)  # the same in each test process


def written(folder, content) -> str:
    path = folder / 'list.txt'
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (GZIP[:-9], 'no readable text or gzip'),
        (GZIP[:12] + b'\xff\xff' + GZIP[14:], 'no readable text or gzip'),
        (GZIP[:-8] + bytes(4) + GZIP[-4:], 'no readable text or gzip'),
        (b'\x1f\x8b', 'no readable text or gzip'),
        (b'a.jpg 0\n\xff\xfe.jpg 1\n', 'no readable text or gzip'),
        (b'', 'is empty'),
        (b'a.jpg\n', ':1: expected "path label"'),
        (b'a.jpg 0\n/etc/passwd 1\n', ":2: path '/etc/passwd' leads out of the data root"),
        (b'../a.jpg 0\n', ':1: path .* leads out'),
        (b'x/../../a.jpg 0\n', ':1: path .* leads out'),
        (b'x\\..\\a.jpg 0\n', ':1: path .* leads out'),
        (b'~/a.jpg 0\n', ':1: path .* leads out'),
        (b'C:\\a.jpg 0\n', ':1: path .* leads out'),
        (b'a\0.jpg 0\n', ':1: path .* leads out'),
        (b'a.jpg 0\nb.jpg 10\n', ':2: label 10 is out of range'),
        (b'a.jpg -1\n', ':1: label -1 is out of range'),
        (b'a.jpg 1e3\n', "label '1e3'"),
        (b'a.jpg ' + b'9' * 5000 + b'\n', 'with an integer label'),
        (b'a.jpg 0\nb.jpg 1\na.jpg 2\n', ":3: 'a.jpg' is .* labels 0 and 2"),
        (b'a.jpg 0\na.jpg 0\n', ":2: 'a.jpg' is listed before, at .*:1; keep one"),
    ],
)  # fmt: skip
def test_a_list_that_is_no_good_is_refused_with_its_line(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_path_label_list(written(tmp_path, content), 10)


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
def test_line_ends(end, tmp_path):
    """With CR alone the whole file was one path with the last label."""
    path = written(tmp_path, f'a 1.jpg 0{end}b.jpg 1{end}{end}'.encode())
    assert [entry[:2] for entry in read_path_label_list(path)] == [('a 1.jpg', 0), ('b.jpg', 1)]


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(IsADirectoryError, match='is a folder, expected a file'):
        read_path_label_list(str(tmp_path))


def test_what_unpacks_without_end_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(path_label_list, 'MAX_BYTES', 1000)
    with pytest.raises(ValueError, match='more than .* GiB'):
        read_path_label_list(written(tmp_path, gzip.compress(b'a.jpg 0\n' * 1000)))


def error_of(read, path):
    """The documented error of a reader, or None."""
    try:
        assert read(path)
    except (ValueError, TypeError) as error:
        return error
    return None


def coco(
    images=({'id': 1, 'file_name': 'a.jpg'},), annotations=({'image_id': 1, 'category_id': 0},)
):
    return {'images': list(images), 'annotations': list(annotations)}


IMAGE, NOTE = {'id': 1, 'file_name': 'a.jpg'}, {'image_id': 1, 'category_id': 0}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'[' * 100_000, 'is not valid JSON'),
        (b'{"images": NaN', 'is not valid JSON'),
        ([], 'must hold non-empty'),
        (coco() | {'images': 'text'}, 'images must be a list, got str'),
        (coco() | {'annotations': {'a': 1}}, 'annotations must be a list, got dict'),
        (coco(images=['text']), 'image 1: expected an object'),
        (coco(images=[{'id': 1}]), "image 1: every image needs .*missing 'file_name'"),
        (coco(images=[IMAGE | {'id': [1]}]), 'image 1: id'),
        (coco(images=[IMAGE | {'id': True}]), 'image 1: id'),
        (coco(images=[IMAGE | {'file_name': 7}]), 'image 1: .*file_name 7'),
        (coco(images=[IMAGE | {'file_name': '/a.jpg'}]), 'image 1: path .* leads out'),
        (coco(images=[IMAGE, IMAGE | {'file_name': 'b.jpg'}]), 'image 2: id 1 is that of'),
        (coco(annotations=['text']), 'annotation 1: expected an object'),
        (coco(annotations=[NOTE | {'image_id': 2}]), 'annotation 1: .*no image has the id 2'),
        (coco(annotations=[NOTE | {'image_id': {}}]), 'annotation 1: .*no image has the id'),
        (coco(annotations=[NOTE | {'category_id': 0.0}]), 'must be an integer, got 0.0'),
        (coco(annotations=[NOTE | {'category_id': True}]), 'must be an integer, got True'),
        (coco(annotations=[NOTE | {'category_id': None}]), 'must be an integer, got None'),
        (coco(annotations=[NOTE, NOTE | {'category_id': 3}]), 'annotation 2: .* labels 0 and 3'),
    ],
)  # fmt: skip
def test_a_json_file_of_another_form_is_refused(content, message, tmp_path):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(ValueError, match=message):
        read_coco_labels(written(tmp_path, content), 10)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(['id', 'file_name', 'image_id', 'category_id', 'images', 'annotations']),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(content=JSON | st.builds(coco, st.lists(JSON, min_size=1), st.lists(JSON, min_size=1)))
@settings(max_examples=150, deadline=None)
def test_readers_return_entries_or_a_value_error(content, tmp_path_factory):
    path = written(tmp_path_factory.mktemp('json'), json.dumps(content).encode())
    for read in (read_coco_labels, read_path_label_list, load_class_counts):
        error = error_of(read, path)
        assert error is None or 'list.txt' in str(error)


@given(content=st.binary(max_size=60) | st.binary(max_size=30).map(gzip.compress))
@settings(max_examples=150, deadline=None)
def test_bytes_are_entries_or_a_value_error(content, tmp_path_factory):
    path = written(tmp_path_factory.mktemp('bytes'), content)
    error = error_of(lambda path: read_path_label_list(path, 10), path)
    assert error is None or 'list.txt' in str(error)


NO_COUNTS = [
    '[0]', '[-3]', '[NaN]', '[Infinity]', '[1e30]', f'[{10**30}]', '[true]', '["9"]', '[[9]]',
    '{"a": 1}', '[' * 100_000, '[]', '', '\0',
]  # fmt: skip


@pytest.mark.parametrize('text', NO_COUNTS, ids=range(len(NO_COUNTS)))
def test_counts_that_are_none(text, tmp_path):
    path = tmp_path / 'counts.json'
    path.write_text(text)
    with pytest.raises((ValueError, TypeError), match='counts.json'):
        load_class_counts(str(path))


def tar(folder, *members):
    """An archive of (name, type, link name or content)."""
    path = folder / 'cifar10.tar'
    with tarfile.open(path, 'w') as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                archive.addfile(info)
    return path


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.fixture
def converter(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'dataset_converters')
    import cifar_images

    return cifar_images.main


@pytest.mark.parametrize(
    ('members', 'message'),
    [
        ([('train/../evil.png', FILE, b'x')], 'leads out of its folder'),
        ([('a/train/../evil.png', FILE, b'x')], 'leads out of its folder'),
        ([('../train/a/evil.png', FILE, b'x')], 'outside'),
        ([('train/a/1.png', LINK, '/etc/passwd')], 'link'),
        ([('train/a/1.png', LINK, '2.png')], 'is a link'),
        ([('train/a/1.png', HARD, 'train/a/2.png')], 'is a link'),
        ([('x/train/a/1.png', FILE, b'x'), ('y/train/a/1.png', FILE, b'y')], 'would both be'),
    ],
)
def test_archives_stay_in_their_folder(members, message, converter, tmp_path):
    out = tmp_path / 'inner' / 'out'
    with pytest.raises((ValueError, tarfile.TarError), match=message):
        converter([str(tar(tmp_path, *members)), '--out', str(out), '--no-check'])
    written = [path for path in tmp_path.rglob('*') if path.is_file() and 'evil' in path.name]
    assert written == []


def test_an_image_of_256_mib_is_none(converter, tmp_path, monkeypatch):
    import converter_utils

    monkeypatch.setattr(converter_utils, 'MAX_IMAGE_BYTES', 10)
    archive = tar(tmp_path, ('train/a/1.png', FILE, bytes(11)))
    with pytest.raises(ValueError, match='has 11 bytes'):
        converter([str(archive), '--out', str(tmp_path / 'out'), '--no-check'])


def test_a_mistake_is_one_line(tmp_path):
    archive = tar(tmp_path, ('train/a/1.png', LINK, '/etc/passwd'))
    done = subprocess.run(
        [sys.executable, 'tools/dataset_converters/cifar_images.py', str(archive), '--out',
         str(tmp_path / 'out'), '--no-check'],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    assert done.stderr.splitlines()[-1].startswith('error: ')
