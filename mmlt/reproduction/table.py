"""A table: a small file of rows, each a config, its options, its seeds and the paper's number."""

import contextlib
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

from mmlt.reproduction.shared_start import shared_epochs

_WAYS = {'fast': (None, 'eager', 'compile'), 'batch_augment': (False, True)}
_TABLE_KEYS = {'title', 'source', 'seeds', 'options', 'environment', 'readme', 'rows', *_WAYS}
_ROW_KEYS = {
    *('name', 'config', 'options', 'seeds', 'paper', 'load_from', 'weights', 'reason'),
    *('chosen_on', 'trials', 'hand_over', 'begins_as', *_WAYS),
}
CHOSEN_ON = ('paper', 'validation', 'test')


@dataclass(frozen=True)
class Row:
    """One method of a table.

    Args:
        name (str): What the table prints.
        config (Path): The config.
        options (dict): As ``--cfg-options``.
        environment (dict): Variables that the config reads, such as ``dict(MMLT_CIFAR='folder')``;
            the table's, whatever the shell has.
        fast (str, optional): ``--fast`` of tools/train.py.
        batch_augment (bool): ``--batch-augment`` of tools/train.py.
        own_ways (dict): What the row says of the two itself, where other rows have the table's.
        seeds (tuple[int]): A run for each.
        paper (float, optional): The printed number.
        load_from (Row, optional): The row above whose last checkpoint, of the same seed, the run
            goes on from (a table file has its name, here and in the next two).
        hand_over (str, optional): Key of the config that gets the checkpoint of ``load_from`` in
            place of the weights, such as ``model.companions.teacher.checkpoint``.
        weights (Row, optional): The row above whose last checkpoint is tested, without training.
        reason (str, optional): Why the last epoch is further than 0.5 from the printed number.
        chosen_on (str): Where the settings are from: 'paper', 'validation' (a part of the training
            set), or 'test', which no table may rank.
        trials (int): How many settings were tried, where none is from the paper.
        begins_as (Row, optional): The row above that this one is until its class weights begin
            (:func:`shared_epochs`). A run goes on from the checkpoint that the other one has
            kept, or trains those epochs itself where there is none.
    """

    name: str
    config: Path
    options: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)
    fast: str | None = None
    batch_augment: bool = False
    own_ways: dict = field(default_factory=dict)
    seeds: tuple = (0,)
    paper: float | None = None
    load_from: 'Row | None' = None
    hand_over: str | None = None
    weights: 'Row | None' = None
    reason: str | None = None
    chosen_on: str = 'paper'
    trials: int = 0
    begins_as: 'Row | None' = None

    @property
    def settings(self) -> Config:
        """The config with the options."""
        with _variables(self.environment):
            cfg = Config.fromfile(self.config)
        cfg.merge_from_dict(self.options)
        return cfg

    @cached_property
    def shared_epochs(self) -> int:
        """Epochs that are those of ``begins_as``."""
        return shared_epochs(self.settings, self.begins_as.settings) if self.begins_as else 0

    @property
    def needs(self) -> 'Row | None':
        """The row that must be finished first."""
        return self.load_from or self.weights


@dataclass(frozen=True)
class Table:
    """A title, the source of the printed numbers and their protocol, and rows."""

    path: Path
    title: str
    source: str
    rows: tuple
    readme: Path | None = None

    def kept_epochs(self, row: Row) -> set[int]:
        """Epochs of a row from which other rows go on."""
        epochs = {other.shared_epochs for other in self.rows if other.begins_as is row}
        return epochs - {0}


def read_table(path) -> Table:
    """Read a table file, a config with the names ``title``, ``source`` and ``rows``.

    Args:
        path (str | PathLike): Python file; paths of configs are relative to it. ``seeds``,
            ``fast`` and ``batch_augment`` at its top are those of every row that has none of its
            own, ``options`` of every row, and ``environment`` of all.

    Raises:
        FileNotFoundError: The file, or a row's config, is not there.
        ValueError: An unknown key, a row without a name or config, a name twice, a row that needs
            one that is not above it or has fewer seeds.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'table {path} does not exist')
    content = Config.fromfile(path).to_dict()
    content = {key: value for key, value in content.items() if not key.startswith('_')}
    _refuse_unknown(content, _TABLE_KEYS, f'table {path}')
    for key in ('title', 'source', 'rows'):
        if not content.get(key):
            raise ValueError(f'table {path} has no {key}')
    environment = content.get('environment') or {}
    if wrong := [f'{k}={v!r}' for k, v in environment.items() if not isinstance(v, str)]:
        raise ValueError(f'{path}: environment must be strings, got {", ".join(wrong)}')
    rows = []
    for number, spec in enumerate(content['rows'], start=1):
        row = _read_row(path, number, spec, content, rows)
        if row.name in [known.name for known in rows]:
            raise ValueError(f'{path}, row {number}: the name {row.name!r} is there twice')
        rows.append(row)
    readme = content.get('readme')
    readme = readme and path.parent / readme
    return Table(path, content['title'], content['source'], tuple(rows), readme)


def _read_row(path: Path, number: int, spec: dict, table: dict, above: list[Row]) -> Row:
    where = f'{path}, row {number}'
    _refuse_unknown(spec, _ROW_KEYS, where)
    if not spec.get('name') or not spec.get('config'):
        raise ValueError(f'{where} needs a name and a config, got {sorted(spec)}')
    config = path.parent / spec['config']
    if not config.is_file():
        raise FileNotFoundError(f'{where} ({spec["name"]}): config {config} does not exist')
    if spec.get('load_from') and spec.get('weights'):
        raise ValueError(f'{where} ({spec["name"]}) has load_from and weights: name one')
    if spec.get('hand_over') and not spec.get('load_from'):
        raise ValueError(f'{where} ({spec["name"]}) has hand_over: name the row in load_from')
    seeds = tuple(spec.get('seeds', table.get('seeds', (0,))))
    chosen_on, trials = spec.get('chosen_on', 'paper'), spec.get('trials', 0)
    if chosen_on not in CHOSEN_ON or (chosen_on == 'paper') != (trials == 0):
        raise ValueError(
            f'{where}: chosen_on must be one of {CHOSEN_ON}, with the number of trials unless it '
            f"is 'paper', got chosen_on={chosen_on!r}, trials={trials!r}"
        )
    if not seeds or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise ValueError(f'{where}: seeds must be integers >= 0, got {seeds}')
    options = dict(table.get('options') or {}) | dict(spec.get('options') or {})
    environment = dict(table.get('environment') or {})
    own = {key: spec[key] for key in _WAYS if key in spec}
    ways = {key: table[key] for key in _WAYS if key in table} | own
    for key, value in ways.items():
        if (type(value), value) not in [(type(known), known) for known in _WAYS[key]]:
            raise ValueError(f'{where}: {key} must be one of {_WAYS[key]}, got {value!r}')
    parts = dict(config=config, seeds=seeds, options=options, environment=environment)
    row = _with_needed(Row(**(spec | parts | ways), own_ways=own), above, where)
    return _with_base(row, above, where) if row.begins_as else row


def _with_needed(row: Row, above: list[Row], where: str) -> Row:
    if (name := row.needs) is None:
        return row
    needed = next((known for known in above if known.name == name), None)
    if needed is None:
        raise ValueError(f'{where} ({row.name}) needs {name!r}, which is no row above it')
    if missing := sorted(set(row.seeds) - set(needed.seeds)):
        raise ValueError(
            f'{where} ({row.name}) needs {name!r} of the same seed, which has none of {missing}: '
            f'its seeds are {needed.seeds}'
        )
    return replace(row, **{'weights' if row.weights else 'load_from': needed})


def _with_base(row: Row, above: list[Row], where: str) -> Row:
    base = next((known for known in above if known.name == row.begins_as), None)
    if base is None or row.needs or base.needs:
        raise ValueError(
            f'{where} ({row.name}) begins as {row.begins_as!r}: that must be a row above it, and '
            'neither may have load_from or weights'
        )
    if (row.fast, row.batch_augment) != (base.fast, base.batch_augment):
        raise ValueError(
            f'{where} ({row.name}) begins as {base.name!r}: fast and batch_augment must be the same'
        )
    row = replace(row, begins_as=base)
    try:
        row.shared_epochs  # noqa: B018  (looks at both configs)
    except ValueError as error:
        raise ValueError(f'{where} ({row.name}) does not begin as {base.name!r}: {error}') from None
    return row


@contextlib.contextmanager
def _variables(wanted: dict):
    """Have these environment variables for a while."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _refuse_unknown(found: dict, known: set, where: str) -> None:
    if unknown := sorted(set(found) - known):
        raise ValueError(f'{where}: unknown are {unknown}, known are {sorted(known)}')
