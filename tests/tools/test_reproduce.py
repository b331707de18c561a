"""A table of digits runs: run, interrupted, resumed, rendered, checked; and what is refused."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import ROOT, command, environment
from mmengine.config import Config

from mmlt.reproduction import (
    Run,
    check_table,
    read_record,
    read_table,
    render_table,
    seal,
    write_record,
)
from mmlt.reproduction.run import machine

TOOL = [sys.executable, str(ROOT / 'tools/reproduce.py')]
RENDER = [sys.executable, str(ROOT / 'tools/render_results.py')]
TABLE = """
title, source, readme = 'digits', 'paper', 'README.md'
seeds = [0]
options = {'train_cfg.max_epochs': 3, 'train_cfg.val_interval': 1,
           'train_dataloader.num_workers': 0, 'val_dataloader.num_workers': 0,
           'test_dataloader.num_workers': 0}
rows = [
    dict(name='CE', config='ce.py', paper=90.0),
    dict(name='tau', config='tau.py', weights='CE'),
]
"""
MARKS = '# Digits\n<!-- results: table.py -->\n<!-- end of results -->\nthe rest\n'


def make(folder):
    """A folder with a table, two configs of the digits and a README."""
    base = ROOT / 'configs/baselines/ce_resnet20_digits-lt.py'
    (folder / 'ce.py').write_text(f'_base_ = {str(base)!r}\n')
    tau = "model = dict(head=dict(classifier=dict(type='TauNormLinear', tau=0.5)))\n"
    (folder / 'tau.py').write_text(f'_base_ = {str(base)!r}\n{tau}')
    (folder / 'table.py').write_text(TABLE)
    (folder / 'README.md').write_text(MARKS)
    return folder


def call(words, folder):
    """Run a tool on the files of a folder, in a process that has the stack imported."""
    files = ('table.py', 'none.py', 'runs')
    return command(*(folder / word if word in files else word for word in words))


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The table, stopped in its first run and started again."""
    folder = make(tmp_path_factory.mktemp('table'))
    words = [*TOOL, 'table.py', '--work-dir', 'runs']
    with subprocess.Popen(
        words, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as tool:
        for _ in range(1200):
            if list(folder.glob('runs/*/ce_*/epoch_1.pth')):
                break
            time.sleep(0.1)
        tool.send_signal(signal.SIGTERM)
        tool.communicate(timeout=120)
    assert tool.returncode != 0
    assert not list(folder.glob('results/*'))
    done = call(words, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def loaded():
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location('reproduce', TOOL[1])
    spec.loader.exec_module(tool := importlib.util.module_from_spec(spec))
    return tool


def run_of(folder, name='CE'):
    row = next(row for row in read_table(folder / 'table.py').rows if row.name == name)
    return Run(row, 0, folder / 'runs')


def test_an_interrupted_run_ends_as_an_unbroken_one(finished, tmp_path):
    folder, _ = finished
    whole = make(tmp_path)
    run = run_of(whole)
    config = run.write_config()
    assert call(run.train_command(ROOT / 'tools', config), whole).returncode == 0
    one, two = (
        torch.load(r.last_checkpoint(), weights_only=True)['state_dict']
        for r in (run, run_of(folder))
    )
    assert run.last_checkpoint().name == 'epoch_3.pth'
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_record_says_what_was_run(finished):
    folder, _ = finished
    record = run_of(folder).record()
    assert record['last']['shot/all'] == record['curve'][-1][1]
    # Also the validation in which the run was stopped.
    assert [epoch for epoch, _ in record['curve']] == [1, 2, 3]
    assert record['epoch'] == 3
    assert record['best']['all'] == max(value for _, value in record['curve'])
    assert 0 <= record['last']['calibration/ece'] <= 100
    assert (record['seed'], record['paper'], record['precision']) == (0, 90.0, 'float32')
    assert record['versions']['torch'] == torch.__version__
    assert record['seconds'] > 0
    assert len(record['draw']) == 12
    assert len(record['revision'].rstrip('+')) == 12
    # Tested on the weights of the other row: nothing was trained.
    tau = run_of(folder, 'tau').record()
    assert (tau['curve'], tau['best'], tau['needs']['row']) == ([], None, 'CE')
    assert tau['needs']['run'] == run_of(folder).name
    assert not list(folder.glob('runs/*/tau_*/*.pth'))
    assert tau['last']['shot/all'] != record['last']['shot/all']


def test_what_is_finished_is_not_started_again(finished):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.glob('runs/*/*/*')}
    assert before
    done = call([*TOOL, 'table.py', '--work-dir', 'runs'], folder)
    assert done.returncode == 0
    *states, end = done.stdout.splitlines()
    assert [line.split()[0] for line in states] == ['finished'] * 2
    assert end.startswith('2 of 2 runs have records and are not trained again (--records DIR')
    assert {path: path.stat().st_mtime_ns for path in folder.glob('runs/*/*/*')} == before


def test_the_readme_has_the_records_numbers_and_the_check_misses_nothing(finished, tmp_path):
    folder = tmp_path / 'copy'
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns('*.pth'))
    assert call([*RENDER, 'table.py'], folder).returncode == 0
    text, record = (folder / 'README.md').read_text(), run_of(folder).record()
    assert text.startswith('# Digits\n')
    assert text.endswith('the rest\n')
    cells = next(line for line in text.splitlines() if line.startswith('| CE')).split(' | ')
    assert cells[5] == f'{record["last"]["shot/all"]:.2f}'
    assert cells[-1] == '90.00 |'
    assert record['draw'] in text
    off = abs(record['last']['shot/all'] - 90) > 0.5
    checked = call([*RENDER, 'table.py', '--check'], folder)
    assert checked.returncode == (1 if off else 0)
    # A number that no record has.
    (folder / 'README.md').write_text(text.replace(cells[5], '99.99'))
    checked = call([*RENDER, 'table.py', '--check'], folder)
    assert 'does not show what the records' in checked.stderr


def test_a_distance_to_the_paper_needs_a_reason(finished, tmp_path):
    folder = tmp_path / 'copy'
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns('*.pth'))

    def faults(row):
        text = TABLE.replace('paper=90.0', row).replace(", readme = 'digits', 'paper', 'README.md'",
                                                        " = 'digits', 'paper'")  # fmt: skip
        (folder / 'table.py').write_text(text)
        return check_table(read_table(folder / 'table.py'))

    record = run_of(folder).record_path
    last = read_record(record)['last']['shot/all']
    assert 'states no reason' in faults(f'paper={last + 0.6}')[0]
    assert faults(f'paper={last + 0.6}, reason="three epochs"') == []
    assert faults(f'paper={last + 0.4}') == []
    chosen = "chosen_on='test', trials=9"
    assert 'its settings were chosen on test images' in faults(chosen)[0]
    assert faults("chosen_on='validation', trials=9") == []
    # Rows that no paper has: no column for it, and the trials are told.
    table = render_table(read_table(folder / 'table.py'))
    assert table.splitlines()[0].endswith('best epoch (not ranked by) |')
    assert len({line.count('|') for line in table.splitlines() if line.startswith('|')}) == 1
    assert '- CE: settings chosen on validation images, 9 trials' in table
    for bad in ("chosen_on='best'", 'trials=3', "chosen_on='validation'"):
        with pytest.raises(ValueError, match='row 1: chosen_on must be one of .* got chosen_on='):
            faults(bad)


def test_a_run_has_one_thread_as_its_record_says(tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '2')
    tool, run = loaded(), run_of(make(tmp_path))
    run.work_dir.mkdir(parents=True)
    asks = [sys.executable, '-c', 'import torch; print(torch.get_num_threads())']
    assert tool.Worker([]).call(run, asks, 'log') is None
    assert (run.work_dir / 'log').read_text() == '1\n'
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 3)  # a benchmark's, in this process
    if not torch.cuda.is_available():
        assert machine().endswith(', 3 threads')
        assert machine(threads=1).endswith(', one thread')


def test_a_record_changed_by_hand_or_of_other_settings_is_refused(finished, tmp_path):
    folder = tmp_path / 'copy'
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns('*.pth'))
    path = run_of(folder).record_path
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | dict(last=dict(record['last'], **{'shot/all': 99.0}))))
    done = call([*TOOL, 'table.py', '--list'], folder)
    assert done.returncode == 1
    assert 'its seal does not fit' in done.stderr
    write_record(path, record | dict(fingerprint='0'))
    done = call([*TOOL, 'table.py', '--list'], folder)
    assert 'is of other settings than row' in done.stderr
    # A value of the config that was changed after the run.
    write_record(path, record)
    assert check_table(read_table(folder / 'table.py')) != []  # the README is empty yet
    config = folder / 'ce.py'
    config.write_text(config.read_text() + 'optim_wrapper = dict(optimizer=dict(lr=0.06))\n')
    checked = call([*RENDER, 'table.py', '--check'], folder)
    assert checked.returncode == 1
    assert "is of other settings than row 'CE' has now" in checked.stderr
    # Tested on CE's weights: not CE's any more, though its own config is what it was.
    with pytest.raises(ValueError, match="is of other settings than row 'tau' has now"):
        run_of(folder, 'tau').record()
    path.write_text('[]')
    assert 'must be an object with a seal' in call([*TOOL, 'table.py', '--list'], folder).stderr


def test_a_checkpoint_is_handed_over_to_the_key_that_the_row_names(finished, tmp_path):
    folder = tmp_path / finished[0].name
    shutil.copytree(finished[0], folder)
    rows = "dict(name='student', config='ce.py', load_from='CE', hand_over='model.teacher')]\n"
    (folder / 'table.py').write_text(TABLE.rpartition(']')[0] + f'    {rows}')
    teacher, student = run_of(folder), run_of(folder, 'student')
    cfg = Config.fromfile(student.write_config())
    assert cfg.model.teacher == str(teacher.last_checkpoint())
    assert cfg.load_from is None
    (folder / 'table.py').write_text(TABLE.replace("weights='CE'", "hand_over='model.teacher'"))
    with pytest.raises(ValueError, match='has hand_over: name the row in load_from'):
        read_table(folder / 'table.py')


def test_what_a_run_goes_on_from_is_part_of_what_it_is(tmp_path):
    folder = make(tmp_path)
    text = TABLE.replace('tau.py', 'ce.py')
    before, seen = run_of(folder, 'tau'), set()
    for words in (
        "weights='CE'",
        "load_from='CE'",
        "load_from='CE', hand_over='model.teacher'",
        "options={'train_cfg.max_epochs': 3}",  # on no other row
    ):
        (folder / 'table.py').write_text(text.replace("weights='CE'", words))
        run = run_of(folder, 'tau')
        seen.add((run.record_path, run.fingerprint))
    # The same row on another first one.
    longer = "config='ce.py', options={'train_cfg.max_epochs': 4}, paper"
    (folder / 'table.py').write_text(TABLE.replace("config='ce.py', paper", longer))
    run = run_of(folder, 'tau')
    seen |= {(run.record_path, run.fingerprint), (before.record_path, before.fingerprint)}
    assert len({path for path, _ in seen}) == len({mark for _, mark in seen}) == 6


def test_a_row_whose_first_one_is_not_here_trains_nothing(finished, tmp_path):
    folder = tmp_path / 'copy'  # as a clone: records, no work dirs
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns('runs'))
    run_of(folder, 'tau').record_path.unlink()
    done = call([*TOOL, 'table.py', '--work-dir', 'runs'], folder)
    assert done.returncode == 1
    first = run_of(folder)
    assert f"needs the last checkpoint of 'CE', of which {first.work_dir} has none" in done.stdout
    assert f'or remove {first.record_path} to train it again' in done.stdout
    assert not list(folder.glob('runs/*/*/*.log'))
    # One that was trained with other settings since.
    first.work_dir.mkdir(parents=True)
    (first.work_dir / 'epoch_3.pth').touch()
    (first.work_dir / 'last_checkpoint').write_text('epoch_3.pth')
    (first.work_dir / 'fingerprint').write_text('another')
    with pytest.raises(ValueError, match='has one of other settings: name the --work-dir'):
        run_of(folder, 'tau').needed_checkpoint()


def branching(folder):
    """A table of three rows: CE; CE-DRW as it is, and as it begins as CE."""
    make(folder)
    hook = "dict(reweighting=dict(type='DeferredReweightingHook', begin_epoch=2))"
    (folder / 'drw.py').write_text(f"_base_ = 'ce.py'\ndefault_hooks = {hook}\n")
    (folder / 'whole.py').write_text("_base_ = 'drw.py'\n")
    rows = (
        "    dict(name='DRW', config='drw.py', begins_as='CE'),\n"
        "    dict(name='whole', config='whole.py'),\n]\n"
    )
    above = TABLE.partition("    dict(name='tau'")[0]
    (folder / 'table.py').write_text(above + rows)
    return folder


def test_a_row_that_begins_as_another_ends_as_if_it_had_been_trained_whole(tmp_path):
    folder = branching(tmp_path)
    words = [*TOOL, 'table.py', '--work-dir', 'runs', '--jobs', '2']
    done = call(words, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = {name: run_of(folder, name) for name in ('CE', 'DRW', 'whole')}
    weights = {
        name: torch.load(run.last_checkpoint(), weights_only=True)['state_dict']
        for name, run in runs.items()
    }
    assert all(torch.equal(v, weights['whole'][k]) for k, v in weights['DRW'].items())
    assert any(not torch.equal(v, weights['CE'][k]) for k, v in weights['DRW'].items())
    # It did train the last of three epochs alone, and says whose the others are.
    log = (runs['DRW'].work_dir / 'train.log').read_text()
    assert 'Epoch(train) [3]' in log
    assert 'Epoch(train) [2]' not in log
    record, whole = runs['DRW'].record(), runs['whole'].record()
    assert record['begins_as'] == dict(row='CE', epoch=2)
    assert whole['begins_as'] is None
    assert {key: record[key] for key in ('last', 'best', 'curve', 'draw')} == {
        key: whole[key] for key in ('last', 'best', 'curve', 'draw')
    }
    table = read_table(folder / 'table.py')
    rendered = render_table(table)
    assert '- DRW: its first 2 epochs are those of CE' in rendered
    # What CE has kept is of CE with these settings alone.
    shutil.rmtree(runs['DRW'].work_dir)
    assert runs['DRW'].kept_by_base() is not None
    row = runs['DRW'].row
    fast = replace(row, fast='eager', begins_as=replace(row.begins_as, fast='eager'))
    assert Run(fast, 0, folder / 'runs').kept_by_base() is None
    assert Run(row, 1, folder / 'runs').kept_by_base() is None


def test_a_run_does_not_go_on_with_another_precision(tmp_path):
    folder = make(tmp_path)
    run = run_of(folder)
    run.work_dir.mkdir(parents=True)
    run.start()
    (run.work_dir / 'epoch_1.pth').touch()
    (run.work_dir / 'last_checkpoint').write_text('epoch_1.pth')
    run.start()
    (folder / 'table.py').write_text("fast = 'eager'\n" + TABLE)
    done = call([*TOOL, 'table.py', '--work-dir', 'runs', '--rows', 'CE'], folder)
    assert done.returncode == 1
    assert 'holds a run of other settings (fast or batch_augment' in done.stdout


def test_a_table_says_how_its_rows_are_trained(tmp_path, monkeypatch):
    monkeypatch.setenv('DIGITS', 'shell')
    folder = make(tmp_path)
    (folder / 'ce.py').write_text((folder / 'ce.py').read_text() + "read = '{{$DIGITS:none}}'\n")
    ways = "fast, batch_augment, environment = 'eager', True, dict(DIGITS='table')\n"
    text = ways + TABLE.replace("weights='CE'", 'fast=None')
    (folder / 'table.py').write_text(text)
    ce, tau = run_of(folder), run_of(folder, 'tau')
    assert (ce.config.read, os.environ['DIGITS']) == ('table', 'shell')
    end = ce.train_command(ROOT / 'tools', folder)[-3:]
    assert end == ['--fast', 'eager', '--batch-augment']
    assert tau.train_command(ROOT / 'tools', folder)[-2:] == [str(tau.work_dir), '--batch-augment']
    # A row of other ways than the table's is a run of its own, not that of the same options.
    (folder / 'table.py').write_text(text.replace('tau.py', 'ce.py'))
    other = run_of(folder, 'tau')
    assert (other.record_path != ce.record_path, other.fingerprint != ce.fingerprint) == (
        True,
        True,
    )


def test_a_row_that_does_not_begin_as_the_other_is_named(tmp_path):
    folder = branching(tmp_path)
    good = (folder / 'table.py').read_text()
    bad = {
        "config='drw.py', options={'train_cfg.max_epochs': 4}": r"differ in \['train_cfg'\]",
        "config='ce.py'": 'one that begins at None and None',
        "config='drw.py', load_from='CE'": 'neither may have load_from or weights',
        "config='drw.py', fast='eager'": 'fast and batch_augment must be the same',
    }
    for words, message in bad.items():
        (folder / 'table.py').write_text(good.replace("config='drw.py'", words))
        with pytest.raises(ValueError, match=message):
            read_table(folder / 'table.py')
    (folder / 'table.py').write_text(good.replace("begins_as='CE'", "begins_as='BS'"))
    with pytest.raises(ValueError, match=r"\(DRW\) begins as 'BS': that must be a row above"):
        read_table(folder / 'table.py')


def test_two_tools_at_one_row_are_told_apart(tmp_path):
    import fcntl

    folder = make(tmp_path)
    run = run_of(folder)
    run.work_dir.mkdir(parents=True)
    with open(run.work_dir / 'reproduce.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = call([*TOOL, 'table.py', '--work-dir', 'runs'], folder)
    assert done.returncode == 1
    assert 'another tool is at it' in done.stdout
    assert 'which failed' not in done.stderr
    assert '2 of 2 runs failed' in done.stderr
    assert not list(folder.glob('results/*'))


@pytest.mark.skipif(os.geteuid() != 0, reason='a file of size 0 is the limit for everyone')
def test_a_full_disk_leaves_no_half_a_record(finished, tmp_path):
    record = read_record(run_of(finished[0]).record_path)
    path = tmp_path / 'record.json'
    write_record(path, record)
    code = (
        'import resource, sys, json\n'
        'from mmlt.reproduction import read_record, write_record\n'
        'record = read_record(sys.argv[1])\n'
        'import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n'
        'try:\n    write_record(sys.argv[1], record | dict(row="new"))\n'
        'except OSError as error:\n    print("told:", error)\n'
    )
    done = call([sys.executable, '-c', code, path], tmp_path)
    assert 'told:' in done.stdout, done.stderr
    assert str(path) in done.stdout
    assert read_record(path)['row'] == 'CE'
    assert [p.name for p in tmp_path.iterdir()] == ['record.json']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (("config='ce.py'", "config='none.py'"), r'row 1 .CE.: config .*none.py does not exist'),
        (('paper=90.0', 'papers=90.0'), r"row 1: unknown are \['papers'\]"),
        (("name='tau'", "name='CE'"), "row 2: the name 'CE' is there twice"),
        (("weights='CE'", "weights='BS'"), r"row 2 \(tau\) needs 'BS', which is no row above"),
        (("weights='CE'", "weights='CE', load_from='CE'"), 'has load_from and weights'),
        (("weights='CE'", "weights='CE', seeds=[0, 2]"), r"needs 'CE' .* which has none of \[2\]"),
        (('seeds = [0]', 'seeds = [0]\nfast = True'), 'fast must be one of .* got True'),
        (('seeds = [0]', 'batch_augment = 1'), 'batch_augment must be one of .* got 1'),
        (('seeds = [0]', 'environment = dict(A=1)'), 'environment must be strings, got A=1'),
        (('seeds = [0]', 'seeds = [-1]'), r'seeds must be integers >= 0, got \(-1,\)'),
        (('title, source', 'titel, source'), "unknown are .'titel'"),
    ],
)
def test_a_wrong_table_is_named(change, message, tmp_path):
    folder = make(tmp_path)
    (folder / 'table.py').write_text(TABLE.replace(*change))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_table(folder / 'table.py')


def test_seeds_that_no_row_has_are_named(tmp_path):
    done = call([*TOOL, 'table.py', '--seeds', '0', '9', '--list'], make(tmp_path))
    assert done.returncode == 1
    assert 'have no seeds [9], they have [0]' in done.stderr


def test_records_of_ones_own(finished, tmp_path):
    """What the repository has records of is trained all the same; nothing lies beside configs."""
    folder = tmp_path / 'copy'
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns('runs'))
    words = [*TOOL, 'table.py', '--rows', 'CE', '--work-dir', 'runs', '--records', folder / 'own']
    listed = call([*words, '--list'], folder)
    assert listed.stdout.split() == ['to', 'run', 'CE,', 'seed', '0']
    run = run_of(folder)
    own = replace(run, records=folder / 'own')
    assert own.record() is None
    assert own.record_path == folder / 'own' / folder.name / run.record_path.name
    write_record(own.record_path, run.record())
    listed = call([*words, '--list'], folder)
    assert listed.stdout.split() == ['finished', 'CE,', 'seed', '0']


def test_methods_with_configs_of_one_name_have_work_dirs_of_their_own():
    rows = read_table(ROOT / 'configs/_tables_/digits-lt-if50_resnet20.py').rows
    runs = [Run(row, seed, Path('runs')) for row in rows for seed in row.seeds]
    assert len({run.work_dir for run in runs}) == len(runs)
    assert len({run.record_path for run in runs}) == len(runs)
    assert len({run.name for run in runs}) < len(runs)  # resnet20_digits-lt of BCE3S and of BCL


def test_an_error_that_nobody_expected_fails_its_run_alone(tmp_path, monkeypatch, capsys):
    tool = loaded()
    tau, ce = run_of(make(tmp_path), 'tau'), run_of(tmp_path)
    worker = tool.Worker([ce, tau])

    def execute(run):
        raise AssertionError('never seen')

    monkeypatch.setattr(worker, 'execute', execute)
    worker.work()
    assert worker.failed[ce] == 'AssertionError: never seen'
    assert worker.failed[tau].startswith('needs ce')
    assert not worker.active
    assert 'AssertionError: never seen' in capsys.readouterr().out


def test_rows_that_are_not_there_are_named(tmp_path):
    done = call([*TOOL, 'table.py', '--rows', 'BS', '--list'], make(tmp_path))
    assert done.returncode == 1
    assert "has no rows ['BS'], it has ['CE', 'tau']" in done.stderr
    done = call([*TOOL, 'none.py', '--list'], tmp_path)
    assert 'none.py does not exist' in done.stderr


def test_the_seal_is_of_the_content():
    record = dict(b=[1, 2.5], a='x')
    assert seal(record) == seal(dict(a='x', b=[1, 2.5]))
    assert seal(record) != seal(dict(a='x', b=[1, 2.6]))
