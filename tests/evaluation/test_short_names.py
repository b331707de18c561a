"""Names as short as tell paths apart."""

import pytest

from mmlt.evaluation import short_names


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['x/epoch_1.pth'], ['epoch_1.pth']),
        (['a/1.pth', 'a/2.pth'], ['1.pth', '2.pth']),
        (['a/b/1.pth', 'c/b/1.pth', 'a/b/2.pth'], ['a/b/1.pth', 'c/b/1.pth', 'a/b/2.pth']),
        (['https://host/a/1.pth', 'https://host/b/1.pth'], ['a/1.pth', 'b/1.pth']),
        (['runs/a/', 'runs/b/.'], ['a', 'b']),
        ([], []),
    ],
)
def test_names_are_as_long_as_it_takes(paths, names):
    assert short_names(paths) == names


def test_the_folder_at_hand_has_a_name(tmp_path, monkeypatch):
    (tmp_path / 'run').mkdir()
    monkeypatch.chdir(tmp_path / 'run')
    assert short_names(['.', '../other']) == ['run', 'other']
    # The end of one path is the whole of another.
    assert short_names(['x', str(tmp_path / 'other' / 'x')]) == ['run/x', 'other/x']


def test_one_path_twice_is_refused():
    with pytest.raises(ValueError, match='paths must be different .* got a b/../a'):
        short_names(['a', 'b/../a'])
