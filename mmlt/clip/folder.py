"""A folder with a CLIP model: opened without network, and without running what it holds."""

import json
from pathlib import Path

import torch

from mmlt import checkpoint

PICKLES = ('pytorch_model.bin', 'pytorch_model-*.bin')


def read_clip(folder):
    """Open a CLIP model and its tokenizer.

    Weights are read from safetensors files where there are any. Pickled ones go through the checks
    of mmlt's own loader before torch sees them. Code in the folder is not run; nothing is
    downloaded.

    Args:
        folder (str | PathLike): with config.json, vocab.json, merges.txt (or tokenizer.json) and
            the weights, as ``CLIPModel.save_pretrained`` and the published models have them.

    Returns:
        tuple: ``CLIPModel`` in float32 and evaluation mode, and its ``CLIPTokenizer``.

    Raises:
        ImportError: transformers is not installed.
        FileNotFoundError: no such folder, or not such a one.
        ValueError: another kind of model, or weights that are missing, damaged or of another form.

    Example:
        >>> model, tokenizer = read_clip('clip-vit-base-patch16')  # doctest: +SKIP
    """
    folder = Path(folder).expanduser()
    _check_folder(folder)
    try:
        from transformers import CLIPModel, CLIPTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise ImportError(
            f"a CLIP model is read with transformers ({error}): pip install 'mmlt[text]'"
        ) from None
    if not list(folder.glob('*.safetensors')):
        for pattern in PICKLES:
            for path in folder.glob(pattern):
                checkpoint.load(path)
    quiet = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, info = CLIPModel.from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True
        )
        tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # of json, safetensors, tokenizers, torch: they share no class
        line = ' '.join(str(error).split())[:300]
        raise ValueError(f'{folder} cannot be read as a CLIP model: {line}') from error
    finally:
        logging.set_verbosity(quiet)
    # transformers would go on with random weights in the place of these.
    lacks = sorted({*info['missing_keys'], *map(str, info.get('mismatched_keys', ()))})
    if lacks:
        raise ValueError(
            f'{folder} lacks {len(lacks)} weights of its model, or has them in another shape, '
            f'first {lacks[0]}: both towers of CLIP are needed'
        )
    broken = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise ValueError(f'{folder} has weights that are not finite: {broken[0]}')
    return model.to(torch.float32).eval(), tokenizer


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(
            f'CLIP_FOLDER {folder} is no folder; expected a CLIP model in the Hugging Face form '
            '(config.json, vocab.json, merges.txt, model.safetensors). Nothing is downloaded'
        )
    path = folder / 'config.json'
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: {folder} holds no Hugging Face model')
    try:
        kind = json.loads(path.read_text(encoding='utf-8')).get('model_type')
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{path} is no JSON object: {error}') from None
    if kind != 'clip':
        raise ValueError(f"{path} has model_type {kind!r}, expected 'clip'")
    if not (folder / 'tokenizer.json').is_file() and not (folder / 'vocab.json').is_file():
        raise FileNotFoundError(f'{folder} has no vocab.json and merges.txt, no tokenizer.json')
