"""One run of a table: its config, its commands, its state on disk, the record that it leaves."""

import hashlib
import json
import platform
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

from mmlt import checkpoint
from mmlt.datasets import same_images
from mmlt.files import write_whole
from mmlt.reproduction.record import read_record, write_record
from mmlt.reproduction.shared_start import keep_checkpoint
from mmlt.reproduction.table import Row

# What a config says that changes no number of a run.
_ASIDE = {'log_level', 'log_processor', 'visualizer', 'vis_backends', 'work_dir', 'tta_model'}
_HOOKS_ASIDE = {'timer', 'logger', 'visualization', 'checkpoint', 'strict_load', 'finite_loss',
                'stop_signal', 'class_counts_check', 'class_names_check', 'idle_slot'}  # fmt: skip
_PRECISION = {None: 'float32', 'eager': 'bfloat16 autocast, channels last'}
_PRECISION['compile'] = _PRECISION['eager'] + ', compiled backbone'
# The environment of a run, as its record says: torch reads it, and what torch computes with.
ONE_THREAD = dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), '1')


@dataclass(frozen=True, eq=False)
class Run:
    """A row with one seed.

    Args:
        row (Row): The row.
        seed (int): Its seed.
        root (Path): Folder of the work dirs.
        kept_epochs (set[int]): Epochs whose checkpoints stay, for rows that begin as this one.
        records (Path, optional): Folder of the records. Defaults to None: beside the configs.
    """

    row: Row
    seed: int
    root: Path
    kept_epochs: frozenset = frozenset()
    records: Path | None = None

    @cached_property
    def stem(self) -> str:
        """Config, options and what it goes on from in one word."""
        given = self.row.options | self.row.own_ways
        if self.needed is not None:
            given = [given, self.needed.stem, self.use_of_needed]
        text = json.dumps(given, sort_keys=True, default=str)
        mark = f'_{hashlib.sha256(text.encode()).hexdigest()[:6]}' if given else ''
        return f'{self.row.config.stem}{mark}'

    @property
    def name(self) -> str:
        """The stem and the seed."""
        return f'{self.stem}_s{self.seed}'

    @property
    def method(self) -> str:
        """Name of the folder of the config."""
        return self.row.config.resolve().parent.name

    @property
    def work_dir(self) -> Path:
        """Where it trains; methods have configs of one name."""
        return self.root / self.method / self.name

    @property
    def record_path(self) -> Path:
        """Where its record goes."""
        folder = self.row.config.parent / 'results'
        if self.records is not None:
            folder = self.records / self.method
        return folder / f'{self.name}.json'

    @cached_property
    def config(self) -> Config:
        """The config with the row's options, the seed, and the metrics of a record."""
        cfg = self.row.settings
        cfg.merge_from_dict({'randomness.seed': self.seed})
        evaluators = cfg.test_evaluator
        evaluators = [evaluators] if isinstance(evaluators, dict) else list(evaluators)
        if not any(metric['type'] == 'CalibrationError' for metric in evaluators):
            shot = next((m for m in evaluators if m['type'] == 'ShotAccuracy'), None)
            if shot is None:
                raise ValueError(f'{self.row.config}: test_evaluator needs a ShotAccuracy')
            counts = shot['class_counts']
            evaluators.append(dict(type='CalibrationError', class_counts=counts))
        cfg.test_evaluator = evaluators
        return cfg

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides a run's numbers: not of what prints, saves or checks."""
        told = {k: v for k, v in self.config.to_dict().items() if k not in _ASIDE}
        hooks = told.get('default_hooks', {})
        told['default_hooks'] = {k: v for k, v in hooks.items() if k not in _HOOKS_ASIDE}
        # A second stage on another first one, or tested where it was trained, is another run.
        needed = self.needed and [self.needed.fingerprint, self.use_of_needed]
        how = [self.row.fast, self.row.batch_augment, needed]
        told = json.dumps([told, *how], sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()

    def record(self) -> dict | None:
        """The record, if the run is finished.

        Raises:
            ValueError: It is of other settings, or was changed by hand.
        """
        if not self.record_path.exists():
            return None
        record = read_record(self.record_path)
        if record['fingerprint'] != self.fingerprint:
            raise ValueError(
                f'result {self.record_path} is of other settings than row {self.row.name!r} has '
                'now: remove it to run the row again'
            )
        return record

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint, also after the work dir was moved."""
        note = self.work_dir / 'last_checkpoint'
        if not note.is_file():
            return None
        path = self.work_dir / Path(note.read_text().strip()).name
        return path if path.is_file() else None

    @property
    def needed(self) -> 'Run | None':
        """The run of the same seed that must be finished first."""
        return self._of(self.row.needs)

    @property
    def use_of_needed(self) -> str:
        """What is done with the last checkpoint of :attr:`needed`: a key of a row or config."""
        return 'weights' if self.row.weights else self.row.hand_over or 'load_from'

    def needed_checkpoint(self) -> Path:
        """The last checkpoint of :attr:`needed`.

        Raises:
            ValueError: It is not there, although the record is, or is of other settings.
        """
        needed, path = self.needed, self.needed.last_checkpoint()
        note = needed.work_dir / 'fingerprint'
        if path is None or not note.is_file() or note.read_text() != needed.fingerprint:
            raise ValueError(
                f'needs the last checkpoint of {needed.row.name!r}, of which {needed.work_dir} has '
                f'{"none" if path is None else "one of other settings"}: name the --work-dir in '
                f'which it was trained, or remove {needed.record_path} to train it again'
            )
        return path

    def write_config(self) -> Path:
        """Write the config that tools/train.py gets."""
        cfg = self.config.copy()
        if self.row.load_from:
            cfg.merge_from_dict({self.use_of_needed: str(self.needed_checkpoint())})
        for epoch in sorted(self.kept_epochs):
            keep_checkpoint(cfg, epoch, str(self.work_dir / 'kept'))
        path = self.work_dir / 'row.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        cfg.dump(path)
        return path

    def start(self) -> None:
        """Before the first sitting and after each break: whose run is it, and where it goes on.

        Raises:
            ValueError: The work dir holds a run of other settings, such as another precision.
        """
        note = self.work_dir / 'fingerprint'
        if self.last_checkpoint() is not None:
            if note.exists() and note.read_text() != self.fingerprint:
                raise ValueError(
                    f'{self.work_dir} holds a run of other settings (fast or batch_augment of the '
                    'table, or a config that has changed): set those, another --work-dir, or '
                    'remove it'
                )
        elif kept := self.kept_by_base():
            origin = dict(row=self.row.begins_as.name, epoch=self.row.shared_epochs)
            write_whole(self.work_dir / kept.name, kept.read_bytes())
            write_whole(self.work_dir / 'begins_as.json', json.dumps(origin))
            write_whole(self.work_dir / 'last_checkpoint', kept.name)
        write_whole(note, self.fingerprint)

    @property
    def base(self) -> 'Run | None':
        """The run that this one begins as."""
        return self._of(self.row.begins_as)

    def _of(self, row: Row | None) -> 'Run | None':
        """The run of another row with this one's seed and folders."""
        return row and replace(self, row=row, kept_epochs=frozenset())

    def kept_by_base(self) -> Path | None:
        """The checkpoint from which this run may go on, if its base has come there."""
        if (base := self.base) is None:
            return None
        path = base.work_dir / 'kept' / base.name / f'epoch_{self.row.shared_epochs}.pth'
        note = base.work_dir / 'fingerprint'
        ours = note.is_file() and note.read_text() == base.fingerprint
        return path if ours and path.is_file() else None

    def train_command(self, tools: Path, config: Path) -> list[str]:
        """The command that trains, or goes on training."""
        command = [sys.executable, str(tools / 'train.py'), str(config), '--resume']
        command += ['--work-dir', str(self.work_dir)]
        command += ['--fast', self.row.fast] if self.row.fast else []
        return command + (['--batch-augment'] if self.row.batch_augment else [])

    def test_command(self, tools: Path, config: Path, weights: Path) -> list[str]:
        """The command that tests the last checkpoint."""
        command = [sys.executable, str(tools / 'test.py'), str(config), str(weights)]
        return [*command, '--work-dir', str(self.work_dir / 'test'), '--out', str(self.metrics)]

    def origin(self) -> dict | None:
        """What the record says of the run that this one goes on from."""
        if (needed := self.needed) is None:
            return None
        row = needed.row
        return dict(row=row.name, config=row.config.name, options=row.options, run=needed.name)

    @property
    def metrics(self) -> Path:
        """Where the test writes its numbers."""
        return self.work_dir / 'metrics.json'

    def finish(self, draw: str, weights: Path) -> dict:
        """Write the record of a run that has been trained and tested."""
        last = json.loads(self.metrics.read_text())
        sittings, origin = self.work_dir / 'sittings.json', self.work_dir / 'begins_as.json'
        history, epoch = ({}, None) if self.row.weights else curve_of(weights)
        val, test = (self.config[f'{part}_dataloader'].dataset for part in ('val', 'test'))
        validated_on = 'test' if same_images(val, test) else 'validation'
        if epoch is not None and validated_on == 'test':
            history[epoch] = last['shot/all']
        best = max(history, key=history.get) if history else None
        record = dict(
            row=self.row.name,
            config=self.row.config.name,
            options=self.row.options,
            environment=self.row.environment,
            seed=self.seed,
            paper=self.row.paper,
            reason=self.row.reason,
            chosen_on=self.row.chosen_on,
            trials=self.row.trials,
            needs=self.origin(),
            begins_as=json.loads(origin.read_text()) if origin.exists() else None,
            fingerprint=self.fingerprint,
            draw=draw,
            last=last,
            epoch=epoch,
            best=best and dict(epoch=best, all=history[best], chosen_on=validated_on),
            curve=sorted(history.items()),
            seconds=round(sum(json.loads(sittings.read_text()))) if sittings.exists() else None,
            precision=_PRECISION[self.row.fast],
            augmentation='by batches' if self.row.batch_augment else 'by images',
            revision=revision(),
            versions=versions(),
            machine=machine(threads=1),
        )
        write_record(self.record_path, record)
        return record


def curve_of(path: Path) -> tuple[dict[int, float], int]:
    """Validated accuracy over all classes by epoch, as the last checkpoint notes it, and its epoch.

    It was written before the validation of its own epoch, which is not among them.
    """
    content = checkpoint.load(str(path), map_location='cpu')
    history = content['message_hub'].get('runtime_info', {}).get('shot_history', {})
    curve = {int(epoch): values['shot/all'] for epoch, values in history.items()}
    return curve, content['meta']['epoch']


def revision() -> str:
    """The code's commit, with a + where files differ from it; 'unknown' outside its repository."""
    folder = Path(__file__).parent

    def git(*words):
        done = subprocess.run(['git', '-C', str(folder), *words], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    # An environment may lie inside some other repository.
    if git('ls-files', '--error-unmatch', Path(__file__).name) is None:
        return 'unknown'
    changed = git('status', '--porcelain', '--untracked-files=no')
    return git('rev-parse', '--short=12', 'HEAD') + ('+' if changed else '')


def versions() -> dict:
    """Versions of what computes."""
    import mmcv
    import mmengine
    import mmpretrain
    import numpy
    import torch
    import torchvision

    # The package itself stands above its parts: they do not import it.
    packages = (sys.modules['mmlt'], torch, torchvision, mmengine, mmcv, mmpretrain, numpy)
    found = {package.__name__: package.__version__ for package in packages}
    return dict(python=platform.python_version(), **found)


def machine(threads: int | None = None) -> str:
    """Name of the device; of a processor also how many threads compute, torch's unless given."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    names = [
        line.partition(':')[2].strip()
        for line in Path('/proc/cpuinfo').read_text().splitlines()
        if line.startswith('model name')
    ] if Path('/proc/cpuinfo').exists() else []  # fmt: skip
    threads = threads or torch.get_num_threads()
    told = 'one thread' if threads == 1 else f'{threads} threads'
    return f'{names[0] if names else platform.processor()}, {told}'
