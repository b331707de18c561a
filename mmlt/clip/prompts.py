"""Class names and prompt templates: those of CLIP's authors, which mmpretrain ships, or your own.

mmpretrain is Apache-2.0; CLIP's templates and its names for ImageNet's classes are MIT. They are
read from the installed mmpretrain; none of them are copied here.
"""

import functools
import importlib.util
from pathlib import Path

from mmpretrain.datasets import categories

TEMPLATE = 'a photo of a {}.'
ENSEMBLES = {
    'cifar100': 'OPENAI_CIFAR100_PROMPT',
    'imagenet': 'OPENAI_IMAGENET_PROMPT',
    'imagenet-7': 'OPENAI_IMAGENET_PROMPT_SUB',
}


def read_class_names(source: str) -> tuple[list[str], list[str]]:
    """Read the names of the classes, and what the prompts call them.

    Args:
        source (str): 'cifar100'; 'imagenet', where the prompts have CLIP's curated names and the
            classes the ones that mmpretrain's datasets tell; or a text file with a class a line
            in label order, the words of the prompt behind a tab where they differ:
            ``n01440764<tab>tench``.

    Returns:
        tuple[list[str], list[str]]: names of the classes, to be compared with a dataset's; words
        of the prompts, with spaces for underscores.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line without a name, or a name twice, with the numbers of the lines.

    Example:
        >>> names, words = read_class_names('imagenet')
        >>> names[0], words[0]
        ('tench, Tinca tinca', 'tench')
    """
    if source == 'cifar100':
        names = words = list(categories.CIFAR100_CATEGORIES)
    elif source == 'imagenet':
        names = list(categories.IMAGENET_CATEGORIES)
        words = list(categories.IMAGENET_SIMPLE_CATEGORIES)
    else:
        names, words = _read_file(Path(source).expanduser())
    return names, [' '.join(word.replace('_', ' ').split()) for word in words]


def read_templates(words: list[str]) -> list[str]:
    """Spell out templates: text with one {} each, or the name of an ensemble of CLIP's.

    Args:
        words (list[str]): such as ``['a photo of a {}.']``, ``['imagenet']`` (80 templates),
            ``['imagenet-7']``, ``['cifar100']`` (18), ``['{}']`` for the bare name.

    Raises:
        ValueError: neither of both, or a template twice.

    Example:
        >>> len(read_templates(['cifar100'])), read_templates(['{}'])
        (18, ['{}'])
    """
    found = []
    for word in words:
        if word in ENSEMBLES:
            found += [template('{}') for template in getattr(_openai_prompts(), ENSEMBLES[word])]
        elif word.count('{}') == 1 and word.count('{') == word.count('}') == 1:
            found.append(word)
        else:
            raise ValueError(
                f'a template must be text with one {{}} for the name, or {", ".join(ENSEMBLES)}, '
                f'got {word!r}'
            )
    twice = next((word for i, word in enumerate(found) if word in found[:i]), None)
    if twice or not found:
        raise ValueError(f'template {twice!r} is given twice' if twice else 'no template is given')
    return found


def _read_file(path: Path) -> tuple[list[str], list[str]]:
    if not path.is_file():
        raise FileNotFoundError(
            f'class names {path}: no such file, and none of cifar100, imagenet; expected a text '
            'file with a class a line, in label order'
        )
    try:
        lines = path.read_text(encoding='utf-8-sig').split('\n')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no text in UTF-8: {error}') from None
    lines = lines[:-1] if lines[-1] == '' else lines
    first, names, words = {}, [], []
    for number, line in enumerate(lines, start=1):
        name, tab, word = (part.strip() for part in line.partition('\t'))
        if not name or ('\t' in line and not word):
            raise ValueError(f'{path}:{number}: expected a name (or name<tab>words), got {line!r}')
        if name in first:
            raise ValueError(f'{path}:{number}: {name!r} is the name of line {first[name]} too')
        first[name] = number
        names.append(name)
        words.append(word or name)
    if not names:
        raise ValueError(f'{path} is empty, expected a class name a line')
    return names, words


@functools.cache
def _openai_prompts():
    """mmpretrain's list of templates, without its models, which want pycocotools."""
    found = importlib.util.find_spec('mmpretrain')
    path = Path(found.origin).parent / 'models/multimodal/clip/utils.py'
    spec = importlib.util.spec_from_file_location('mmlt.clip._openai_prompts', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
