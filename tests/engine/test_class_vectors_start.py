"""Runs whose head begins from class vectors: order of names, resume, load_from, test."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt
from mmlt.engine.config_check import check_runner
from mmlt.engine.hooks import ClassNamesCheckHook
from mmlt.models.class_vectors import save_class_vectors

ROOT = f'{mmlt.__path__[0]}/..'
DIGITS = [str(k) for k in range(10)]


@pytest.fixture(scope='module')
def rows():
    torch.manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(10, 64, dtype=torch.float64), dim=1)


def config(tmp_path, rows, names=DIGITS, epochs=1, **options) -> Config:
    """Few digits, one step an epoch; the learning rate is 0 unless given."""
    cfg = Config.fromfile(f'{ROOT}/configs/baselines/ce_resnet20_digits-lt.py')
    file = str(tmp_path / 'vectors.pth')
    if rows is not None:
        save_class_vectors(file, rows, names, dict(kind='text'))
    cfg.model.head.init_cfg = dict(type='ClassVectors', file=file)
    cfg.model.head.classifier = dict(type='NormedLinear')
    cfg.test_dataloader.dataset.indices = 20
    cfg.train_dataloader.dataset.class_counts = [4, 3, 3, 3, 3, 2, 2, 2, 1, 1]
    cfg.merge_from_dict({
        'model.head.class_counts': cfg.train_dataloader.dataset.class_counts,
        'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None,
        'test_evaluator': dict(_delete_=True, type='Accuracy'),
        'train_cfg.max_epochs': epochs, 'work_dir': str(tmp_path / 'run'),
        'param_scheduler': None, 'optim_wrapper.optimizer.lr': 1e-30,
        'log_level': 'WARNING', 'experiment_name': f'{tmp_path.name}-{epochs}',
    } | options)  # fmt: skip
    return cfg


def has_rows(path, rows):
    found = mmlt.checkpoint.load(path)['state_dict']['head.classifier.weight']
    return torch.equal(found, rows.float())


def test_a_run_begins_from_them_and_goes_on_without_the_file(tmp_path, rows):
    Runner.from_cfg(config(tmp_path, rows)).train()
    last = tmp_path / 'run' / 'epoch_1.pth'
    assert has_rows(last, rows)
    other = config(
        tmp_path, rows.flip(0), epochs=5, load_from=str(last), work_dir=str(tmp_path / 'b')
    )
    runner = Runner.from_cfg(other)
    runner._init_model_weights()
    runner.load_or_resume()  # load_from has the last word
    assert torch.equal(runner.model.head.classifier.weight, rows.float())
    (tmp_path / 'vectors.pth').unlink()
    runner = Runner.from_cfg(config(tmp_path, None, epochs=2, resume=True))
    runner.train()
    assert runner.epoch == 2
    assert has_rows(tmp_path / 'run' / 'epoch_2.pth', rows)
    tested = Runner.from_cfg(config(tmp_path, None, epochs=3, load_from=str(last)))
    assert 'accuracy/top1' in tested.test()
    # resume=True with nothing to resume is a beginning, which needs the file.
    fresh = config(tmp_path, None, epochs=4, resume=True, work_dir=str(tmp_path / 'fresh'))
    with pytest.raises(FileNotFoundError, match='vectors.pth do not exist'):
        Runner.from_cfg(fresh).train()


def test_another_order_of_names_is_refused_and_unknown_names_are_told(tmp_path, rows):
    swapped = ['0', '2', '1', *DIGITS[3:]]
    with pytest.raises(
        ValueError, match=r"class 1 is '2' in the class vectors .*but '1' in the training set"
    ):
        Runner.from_cfg(config(tmp_path, rows, names=swapped)).train()
    with pytest.raises(ValueError, match="class 1 is '2' in the class vectors"):  # before a run
        list(check_runner(Runner.from_cfg(config(tmp_path, rows, names=swapped))))
    for number, (names, classes, told) in enumerate((
        (DIGITS, DIGITS, 'their names are those of the training set'),
        (None, DIGITS, 'not checked: the file tells no class names'),
        (DIGITS, None, 'not checked: the training set tells no class names'),
    ), start=2):  # fmt: skip
        work_dir = tmp_path / f'run{number}'
        cfg = config(tmp_path, rows, names, number, log_level='INFO', work_dir=str(work_dir))
        runner = Runner.from_cfg(cfg)
        runner.train_dataloader.dataset.dataset._metainfo['classes'] = classes
        (check,) = (h for h in runner.hooks if isinstance(h, ClassNamesCheckHook))
        runner._init_model_weights()
        check.before_train(runner)
        (log,) = work_dir.glob('*/*.log')
        assert told in log.read_text()
