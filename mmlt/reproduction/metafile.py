"""The models of a method's ``metafile.yml``: a line of facts each, results from records alone.

What stands above ``Models:`` (the collection: paper, year, code) is written by hand and kept.
"""

import statistics
from pathlib import Path

import yaml
from mmengine.config import Config

from mmlt.reproduction.record import read_record

_METRICS = {
    'Top 1 Accuracy': 'shot/all',
    'Many': 'shot/many',
    'Medium': 'shot/medium',
    'Few': 'shot/few',
}
# Options that decide how fast a run is, not what comes out.
_QUIET = ('num_workers', 'persistent_workers')


def render_metafile(path) -> str:
    """The whole text of a metafile, its models anew.

    Args:
        path (str | PathLike): ``configs/METHOD/metafile.yml``; begins with one collection.

    Raises:
        ValueError: No collection, more than one, or a record that was changed by hand.
    """
    path = Path(path)
    head = path.read_text(encoding='utf-8').partition('\nModels:\n')[0].rstrip()
    collections = (yaml.safe_load(head) or {}).get('Collections') or []
    if len(collections) != 1:
        raise ValueError(
            f'{path} must begin with Collections: and one collection, got {len(collections)}'
        )
    folder = path.parent
    records = [read_record(file) for file in sorted((folder / 'results').glob('*.json'))]
    models = [
        _model(config, collections[0]['Name'], [r for r in records if r['config'] == config.name])
        for config in sorted(folder.glob('*.py'))
    ]
    body = yaml.safe_dump(models, sort_keys=False, allow_unicode=True, width=100)
    lines = ''.join(f'  {line}' for line in body.splitlines(keepends=True))
    return f'{head}\n\nModels:\n{lines}'


def _model(config: Path, collection: str, records: list[dict]) -> dict:
    cfg = Config.fromfile(config)
    folder = config.parent.name
    model = {
        'Name': f'{folder}_{config.stem}',  # the name of a file alone is another method's too
        'Config': f'configs/{folder}/{config.name}',
        'In Collection': collection,
        'Metadata': {
            'Training Data': str(cfg.val_evaluator.class_counts),
            'Epochs': cfg.train_cfg.max_epochs,
            'Batch Size': cfg.train_dataloader.batch_size,
        },
    }
    if records:
        model['Results'] = _results(records)
    return model


def _results(records: list[dict]) -> list[dict]:
    """One result for all seeds of the same settings: last epochs, no TTA."""
    groups = {}
    for record in records:
        way = tuple(record[key] for key in ('augmentation', 'precision', 'draw'))
        key = (repr(_options(record)), repr(_origin(record)), *way)
        groups.setdefault(key, []).append(record)
    found = []
    for (_, _, augmentation, precision, draw), group in groups.items():
        options, origin = _options(group[0]), _origin(group[0])
        values = {name: [r['last'][key] for r in group] for name, key in _METRICS.items()}
        # A group of classes that the draw does not have is no number: null in a record.
        metrics = {
            name: round(statistics.mean(numbers), 2)
            for name, numbers in values.items()
            if all(number is not None and number == number for number in numbers)
        }
        if len(group) > 1:
            spread = statistics.stdev(record['last']['shot/all'] for record in group)
            metrics['Top 1 Accuracy (standard deviation)'] = round(spread, 2)
        found.append(
            {
                'Task': 'Image Classification',  # mmpretrain's inference_model knows this name
                'Dataset': draw,
                'Metrics': metrics,
                'Seeds': sorted(record['seed'] for record in group),
                'Epoch': 'last',
                'Augmentation': augmentation,
                'Precision': precision,
                **({'Options': options} if options else {}),
                **({'Goes On From': origin} if origin else {}),
            }
        )
    return found


def _options(told: dict) -> dict:
    return {k: v for k, v in told['options'].items() if not k.endswith(_QUIET)}


def _origin(record: dict) -> dict | None:
    """Whose checkpoint a second stage goes on from, or a row tests."""
    if (needs := record.get('needs')) is None:
        return None
    return {'Config': needs['config'], **({'Options': o} if (o := _options(needs)) else {})}
