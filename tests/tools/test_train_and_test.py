"""The command line, as a user runs it: train, kill, resume, test, several processes."""

import json
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mmengine
import pytest
import torch
from commands import ROOT, command, environment

import mmlt  # noqa: F401  (torch may then load what mmengine puts into checkpoints)

CONFIG = 'configs/bce3s/resnet20_digits-lt.py'
COLUMNS = ['many', 'medium', 'few', 'all', 'macro', 'worst', 'harmonic']
# Two epochs of stage 1 and one of stage 2.
SHORT = [
    'train_cfg.max_epochs=3',
    'train_cfg.val_interval=3',
    'default_hooks.retraining.begin_epoch=2',
    'default_hooks.checkpoint.max_keep_ckpts=-1',
]


def run_here(words: str, monkeypatch) -> None:
    """Run a tool inside this process: fast, for what fails before it builds a Runner."""
    tool, *words = words.replace('CONFIG', CONFIG).split()
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / 'tools')
    monkeypatch.setenv('LOCAL_RANK', '0')  # the tools set it for the rest of the process
    monkeypatch.setattr(sys, 'argv', [tool, *words])
    runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')


def train(work_dir, *flags: str, options=()) -> subprocess.CompletedProcess:
    options = ['--cfg-options', *SHORT, *options]
    return command(
        sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(work_dir), *flags, *options
    )


def weights(checkpoint) -> dict:
    return torch.load(checkpoint, weights_only=True)['state_dict']


def same_weights(checkpoint, other) -> bool:
    a, b = weights(checkpoint), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def table(stdout: str) -> dict[str, list[str]]:
    """The last table: name of a row -> its cells."""
    rows, inside = {}, False
    for line in stdout.splitlines():
        name, cells = line.split()[: -len(COLUMNS)], line.split()[-len(COLUMNS) :]
        if cells == COLUMNS:
            rows, inside = {}, True
        elif inside and all(re.fullmatch(r'-|\d+\.\d\d', cell) for cell in cells):
            rows[' '.join(name)] = cells
        else:
            inside = False
    return rows


def kill_after_first_checkpoint(work_dir: Path, words, kill=lambda run: run.kill()) -> int:
    """Start a command of its own process group and stop it as soon as it can be resumed."""
    run = subprocess.Popen(
        words, cwd=ROOT, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not (work_dir / 'last_checkpoint').exists():
        assert run.poll() is None, 'the run ended before it could be killed'
        assert time.monotonic() < deadline, 'no checkpoint was written'
        time.sleep(0.01)
    kill(run)
    return run.wait()


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('run') / 'digits'
    result = train(work_dir)
    assert result.returncode == 0, result.stderr
    return work_dir, result.stdout


def test_train_ends_with_the_table_of_the_last_epoch(trained):
    work_dir, stdout = trained
    assert list(table(stdout)) == ['epoch 3 (last)']
    assert stdout.splitlines()[-3] == 'validated on DigitsLT, split test'
    assert 'Stage 2 from epoch 3: classifier only' in stdout
    logged = re.findall(r'Epoch\(val\) \[3\].*shot/all: ([\d.]+)', stdout)[-1]
    assert stdout.splitlines()[-1].split()[6] == f'{float(logged):.2f}'
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_3.pth')


def test_a_work_dir_that_holds_a_run_is_told_unless_it_is_resumed(trained, tmp_path):
    told = 'holds a run already, whose files this one mixes with and writes over: --resume goes on'
    assert told not in trained[1]
    shutil.copy(trained[0] / 'epoch_2.pth', tmp_path)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    short = ['train_cfg.max_epochs=1', 'default_hooks.retraining.begin_epoch=0']
    assert told not in train(tmp_path, '--resume').stdout
    assert told in train(tmp_path, options=[*short, 'load_from=x.pth']).stdout


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (['train_cfg.max_epochs=0', 'param_scheduler=[]'], 'error: train_cfg trains nothing'),
        (['trian_cfg.max_epochs=1'], "there is no 'trian_cfg', did you mean 'train_cfg'?"),
    ],
)
def test_an_option_that_trains_nothing_or_is_mistyped_is_one_line(options, said, tmp_path):
    result = train(tmp_path, options=options)
    assert result.returncode == 1
    assert said in result.stderr.splitlines()[-1]


def test_test_repeats_the_numbers_of_training(trained, tmp_path):
    work_dir, stdout = trained
    out = tmp_path / 'metrics.json'
    checkpoint = str(work_dir / 'epoch_3.pth')
    result = command(
        sys.executable, 'tools/test.py', CONFIG, checkpoint, '--out', str(out),
        '--work-dir', str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert table(result.stdout) == {'no TTA': table(stdout)['epoch 3 (last)']}
    assert 'tested on DigitsLT, split test' in result.stdout.splitlines()
    written = json.loads(out.read_text())
    assert [f'{written[f"shot/{name}"]:.2f}' for name in COLUMNS] == table(stdout)['epoch 3 (last)']


def test_tta_is_printed_below_the_numbers_without_it(trained, tmp_path):
    work_dir, stdout = trained
    out = tmp_path / 'predictions.pkl'
    result = command(
        sys.executable, 'tools/test.py', CONFIG, str(work_dir / 'epoch_3.pth'), '--tta',
        '--out', str(out), '--work-dir', str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = table(result.stdout)
    assert list(rows) == ['no TTA', 'flip TTA']
    assert rows['no TTA'] == table(stdout)['epoch 3 (last)']
    right = [int(p['pred_score'].argmax()) == int(p['gt_label']) for p in mmengine.load(out)]
    assert len(right) == 600
    assert f'{100 * sum(right) / 600:.2f}' == rows['flip TTA'][3]  # of the mean logits
    assert rows['flip TTA'] != rows['no TTA']


def test_killed_run_resumes_to_the_weights_of_an_unbroken_one(trained, tmp_path):
    words = [
        sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(tmp_path),
        '--cfg-options', *SHORT,
    ]  # fmt: skip
    assert kill_after_first_checkpoint(tmp_path, words) == -signal.SIGKILL
    result = train(tmp_path, '--resume')
    assert result.returncode == 0, result.stderr
    assert table(result.stdout) == table(trained[1])
    assert same_weights(trained[0] / 'epoch_3.pth', tmp_path / 'epoch_3.pth')


def test_a_finished_run_is_validated_anew_when_it_is_resumed(trained):
    work_dir, stdout = trained
    saved = torch.load(work_dir / 'epoch_3.pth', weights_only=True)['message_hub']
    assert 'shot_history' not in saved['runtime_info'], 'was written after the last validation'
    result = train(work_dir, '--resume')
    assert result.returncode == 0, result.stderr
    assert 'Epoch(train)' not in result.stdout
    assert table(result.stdout) == table(stdout)


@pytest.fixture(scope='module')
def trained_on_two(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('two')
    result = command(
        'tools/dist_train.sh', CONFIG, '2', '--work-dir', str(work_dir), '--cfg-options', *SHORT
    )
    assert result.returncode == 0, result.stderr
    return work_dir, result.stdout


def test_two_processes_train_both_stages(trained_on_two):
    work_dir, stdout = trained_on_two
    assert list(table(stdout)) == ['epoch 3 (last)']
    before, after = (weights(work_dir / f'epoch_{n}.pth') for n in (2, 3))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {'head.classifier.weight', 'head.classifier.bias'}


def test_two_processes_test_several_checkpoints_like_one(trained_on_two, tmp_path):
    work_dir, stdout = trained_on_two
    out = tmp_path / 'metrics.json'
    last, before = (str(work_dir / f'epoch_{n}.pth') for n in (3, 2))
    result = command(
        'tools/dist_test.sh', CONFIG, last, '2', before, '--out', str(out),
        '--work-dir', str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = table(result.stdout)
    assert list(rows) == ['epoch_3.pth', 'epoch_2.pth', 'mean', 'std']
    assert rows['epoch_3.pth'] == table(stdout)['epoch 3 (last)']
    report = json.loads(out.read_text())
    assert list(report) == ['rows', 'mean', 'std']
    a, b = (report['rows'][f'epoch_{n}.pth']['shot/all'] for n in (3, 2))
    assert a != b
    assert report['mean']['shot/all'] == pytest.approx((a + b) / 2)
    # The sample standard deviation of two numbers.
    assert report['std']['shot/all'] == pytest.approx(abs(a - b) / 2**0.5)


def test_amp_trains_with_finite_losses(tmp_path):
    result = train(tmp_path, '--amp', '--no-validate', options=['train_cfg.max_epochs=1'])
    assert result.returncode == 0, result.stderr
    losses = re.findall(r' loss: (\S+)', result.stdout)
    assert losses
    assert 'nan' not in losses


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('test.py CONFIG LICENSE nowhere.pth', 'CHECKPOINT nowhere.pth does not exist'),
        ('test.py CONFIG LICENSE ./LICENSE', 'CHECKPOINT ./LICENSE is given twice'),
        ('test.py x.pth CONFIG', 'CONFIG comes before CHECKPOINT, got x.pth'),
        ('train.py configs/nowhere.py', 'CONFIG configs/nowhere.py does not exist'),
        ('test.py CONFIG x.pth --out x.txt', '--out must end in .json, .pkl or .pickle, got x.txt'),
        ('test.py CONFIG x.pth --out-item pred', '--out-item needs --out'),
        ('test.py CONFIG x.pth --out x.pkl --out-item metrics', 'that ends in .json'),
        ('train.py CONFIG --cfg-options model.head.scale 30', "key=value, got 'model.head.scale'"),
        ('train.py CONFIG --amp --fast', '--amp is float16 and --fast bfloat16: take one of them'),
        ('ablation_grid.py bce3s-table2 --cfg-options a.b', "expected key=value, got 'a.b'"),
        ('test.py CONFIG x.pth y.pth --out x.pkl', 'predictions are of one CHECKPOINT, got 2'),
        ('test.py CONFIG --per-class x.pth y.pth', '--per-class must end in .csv, got x.pth'),
        ('train_two_stage.py CONFIG x.py --work-dir w', 'STAGE2 x.py does not exist'),
        ('train_two_stage.py CONFIG CONFIG', 'arguments are required: --work-dir'),
        ('train_two_stage.py CONFIG CONFIG --work-dir w,x', "no space or comma, got 'w,x'"),
        ('train_two_stage.py CONFIG CONFIG --work-dir w --gpus 0', '--gpus must be >= 1, got 0'),
    ],
)
def test_a_mistake_on_the_command_line_is_named(words, message, monkeypatch, capsys):
    with pytest.raises(SystemExit) as error:
        run_here(words, monkeypatch)
    assert error.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            "joined = dict(_delete_=True, type='ConcatDataset', datasets=[])\n"
            'test_dataloader = dict(dataset=joined)',
            '--tta needs one pipeline, ConcatDataset has none or several',
        ),
        ('test_dataloader = dict(dataset=dict(pipeline=[]))', 'the test pipeline must end'),
        ("tta_pipeline = [dict(type='PackInputs')]", 'tta_pipeline must end with a TestTimeAug'),
    ],
)
def test_tta_on_an_odd_config_is_named(options, message, monkeypatch, tmp_path):
    config, checkpoint = tmp_path / 'odd.py', tmp_path / 'x.pth'
    config.write_text(f"_base_ = '{ROOT}/configs/bce3s/resnet20_digits-lt.py'\n{options}\n")
    checkpoint.write_bytes(b'')
    with pytest.raises(SystemExit, match=message):
        run_here(f'test.py {config} {checkpoint} --tta --work-dir {tmp_path}', monkeypatch)


def test_a_rate_is_scaled_or_the_flag_is_refused(monkeypatch, tmp_path):
    config = tmp_path / 'own.py'
    base = f'{ROOT}/configs/bce3s/resnet20_digits-lt.py'
    config.write_text(f"_base_ = '{base}'\nauto_scale_lr = dict(_delete_=True)\n")
    words = f'train.py {config} --auto-scale-lr --work-dir {tmp_path}'
    with pytest.raises(SystemExit, match='--auto-scale-lr needs to know for how many images'):
        run_here(words, monkeypatch)
    seen = []
    monkeypatch.setattr('mmlt.engine.console.build_runner', lambda cfg, *_: seen.append(cfg))
    with pytest.raises(AttributeError):  # there is no runner
        run_here(f'{words} --cfg-options auto_scale_lr.base_batch_size=64', monkeypatch)
    assert seen[0].auto_scale_lr == dict(base_batch_size=64, enable=True)


def test_five_crops_need_a_crop_at_the_centre(monkeypatch, tmp_path):
    (tmp_path / 'x.pth').write_bytes(b'')
    with pytest.raises(SystemExit, match='--five-crop needs a test pipeline with ResizeEdge'):
        run_here(f'test.py CONFIG {tmp_path}/x.pth --five-crop --work-dir {tmp_path}', monkeypatch)


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_script_without_arguments_says_how_to_call_it(script):
    result = command(f'tools/{script}')
    assert result.returncode == 2
    assert 'usage:' in result.stderr
