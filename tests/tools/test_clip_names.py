"""Class names and prompt templates: their order, their files, what is refused."""

import pytest
from mmpretrain.datasets import CIFAR100, CustomDataset

from mmlt.clip import read_class_names, read_templates
from mmlt.datasets import ImageNetLT


def test_the_two_lists_of_imagenet_are_in_the_same_order():
    names, words = read_class_names('imagenet')
    assert tuple(names) == tuple(ImageNetLT.METAINFO['classes'])
    # One shifted by a class agrees almost nowhere.
    agree = [word.lower() in name.lower() for name, word in zip(names, words)]
    shifted = [word.lower() in name.lower() for name, word in zip(names, words[1:])]
    assert (len(agree), sum(agree) > 800, sum(shifted) < 20) == (1000, True, True)


def test_cifar_100_s_names_are_those_of_its_folders_too(tmp_path):
    # CustomDataset ranks the folders by name; a class that moved would begin as another.
    names, words = read_class_names('cifar100')
    for name in reversed(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / '0.png').touch()
    folders = CustomDataset(data_prefix=str(tmp_path))
    assert list(folders.CLASSES) == names == list(CIFAR100.METAINFO['classes'])
    assert words[names.index('sweet_pepper')] == 'sweet pepper'


def test_names_of_a_file(tmp_path):
    file = tmp_path / 'names.txt'
    file.write_text('n01440764\ttench\nsea_lion\r\n Bee \n')
    assert read_class_names(str(file)) == (
        ['n01440764', 'sea_lion', 'Bee'], ['tench', 'sea lion', 'Bee'])  # fmt: skip
    for text, message in (
        ('ant\n\nbee\n', r'names.txt:2: expected a name'),
        ('ant\nbee\t\n', r'names.txt:2: expected a name'),
        ('ant\nbee\nant\n', r"names.txt:3: 'ant' is the name of line 1 too"),
        ('', 'is empty'),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_class_names(str(file))
    file.write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='no text in UTF-8'):
        read_class_names(str(file))
    with pytest.raises(FileNotFoundError, match='class names cifar10: no such file, and none of'):
        read_class_names('cifar10')


def test_templates():
    assert len(read_templates(['imagenet'])) == 80
    assert read_templates(['imagenet-7', '{}'])[-2:] == ['a photo of the small {}.', '{}']
    for words, message in (
        (['a photo'], 'must be text with one {}'),
        (['{} and {}'], 'must be text with one {}'),
        (['{0}'], 'must be text with one {}'),
        (['cifar100', 'a photo of a {}.'], "'a photo of a {}.' is given twice"),
    ):
        with pytest.raises(ValueError, match=message):
            read_templates(words)
