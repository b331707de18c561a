"""Run what is missing of a table, several runs at a time, each to its end.

    python tools/reproduce.py TABLE [--jobs 2] [--rows CE BS] [--seeds 0]

A row is a config, options and seeds; the table also says how rows are trained (``fast``,
``batch_augment``, as in tools/train.py) and which environment variables their configs read. What is
finished is never started again: its JSON lies in ``configs/<method>/results``, or in --records DIR,
which a clone names that is to train the rows itself. What was interrupted goes on from its last
checkpoint; a row that needs another, or begins as another, waits for it. Ctrl-C and SIGTERM stop
the runs in order: start the same line again. tools/render_results.py then prints the tables.
"""

import argparse
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

import mmlt  # noqa: F401  (registers everything)
from mmlt.datasets import training_draw
from mmlt.files import write_whole
from mmlt.reproduction import Run, read_table
from mmlt.reproduction.run import ONE_THREAD

TOOLS = Path(__file__).parent


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('table', metavar='TABLE', help='table file')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, one thread each')
    parser.add_argument('--rows', nargs='+', metavar='NAME', help='these rows alone')
    parser.add_argument('--seeds', nargs='+', type=int, help='these seeds alone')
    parser.add_argument('--work-dir', default='work_dirs/reproduce', help='folder of the runs')
    parser.add_argument(
        '--records',
        type=Path,
        metavar='DIR',
        help='records of your own: what has none in there is trained, whatever lies beside the '
        'configs',
    )
    parser.add_argument('--list', action='store_true', help='say what is finished, start nothing')
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error(f'--jobs must be >= 1, got {args.jobs}')
    return args


def runs_of(table, args) -> list[Run]:
    """The runs that are asked for, with those that they need before them."""
    names = {row.name: row for row in table.rows}
    wanted = list(args.rows or names)
    if unknown := sorted(set(wanted) - set(names)):
        sys.exit(f'error: {table.path} has no rows {unknown}, it has {list(names)}')
    seeds = {seed for name in wanted for seed in names[name].seeds}
    if unknown := sorted(set(args.seeds or ()) - seeds):
        sys.exit(
            f'error: the rows of {table.path} have no seeds {unknown}, they have {sorted(seeds)}'
        )
    for name in wanted:  # grows while it is read: what is needed may need another
        if (needed := names[name].needs) and needed.name not in wanted:
            wanted.append(needed.name)
    return [
        Run(row, seed, Path(args.work_dir), frozenset(table.kept_epochs(row)), args.records)
        for row in table.rows
        if row.name in wanted
        for seed in row.seeds
        if not args.seeds or seed in args.seeds
    ]


class Worker:
    """Takes runs one after the other until none is left; ``jobs`` of them work side by side."""

    def __init__(self, runs: list[Run]):
        self.waiting = list(runs)
        self.by_key = {(run.row.name, run.seed): run for run in runs}
        self.active, self.failed = {}, {}
        self.condition = threading.Condition()
        self.stopped = False

    def work(self) -> None:
        """Loop of one thread."""
        while (run := self.take()) is not None:
            try:
                reason = self.execute(run)
            except Exception as error:  # whatever it is, the other runs go on
                reason = f'{type(error).__name__}: {error}'
            with self.condition:
                self.active.pop(run)
                if reason:
                    self.failed[run] = reason
                    print(f'{run.name}: {reason}', flush=True)
                self.condition.notify_all()

    def take(self) -> Run | None:
        """The next run whose needs are finished; waits where others may finish them."""
        with self.condition:
            while not self.stopped:
                for run in list(self.waiting):
                    needed = self.needed(run)
                    base = run.base and self.by_key.get((run.base.row.name, run.seed))
                    if needed in self.failed:
                        self.waiting.remove(run)
                        self.failed[run] = f'needs {needed.name}, which failed'
                    elif base in self.waiting or base in self.active:
                        continue
                    elif needed is None or needed.record() is not None:
                        self.waiting.remove(run)
                        self.active[run] = None
                        return run
                if not self.waiting or not self.active:
                    return None
                self.condition.wait()
            return None

    def needed(self, run: Run) -> Run | None:
        """The run of the same seed that this one goes on from."""
        return self.by_key[run.row.needs.name, run.seed] if run.row.needs else None

    def execute(self, run: Run) -> str | None:
        """Train and test a run, write its record; returns why it failed, if it did."""
        if run.record() is not None:
            return None
        run.work_dir.mkdir(parents=True, exist_ok=True)
        with open(run.work_dir / 'reproduce.lock', 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return f'another tool is at it ({run.work_dir} is locked)'
            run.start()
            config = run.write_config()
            weights = run.needed_checkpoint() if run.row.weights else None
            if weights is None:
                if reason := self.call(run, run.train_command(TOOLS, config), 'train.log'):
                    return reason
                weights = run.last_checkpoint()
            if reason := self.call(run, run.test_command(TOOLS, config, weights), 'test.log'):
                return reason
            init_default_scope('mmpretrain')
            draw = training_draw(DATASETS.build(run.config.train_dataloader.dataset))
            record = run.finish(draw, weights)
        print(f'{run.name}: finished, {record["last"]["shot/all"]:.2f}', flush=True)
        return None

    def call(self, run: Run, command: list[str], log: str) -> str | None:
        """Run a command with its output in a file; note how long it took."""
        begin = time.monotonic()
        with open(run.work_dir / log, 'a') as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | ONE_THREAD
            )
            with self.condition:
                self.active[run] = process
                if self.stopped:
                    process.terminate()
            status = process.wait()
        note = run.work_dir / 'sittings.json'
        sittings = json.loads(note.read_text()) if note.exists() else []
        write_whole(note, json.dumps([*sittings, time.monotonic() - begin]))
        if status:
            return f'{"stopped" if self.stopped else "failed"}, see {run.work_dir / log}'
        return None

    def stop(self, *_) -> None:
        """Stop all runs in order; they save a checkpoint first."""
        self.stopped = True
        for process in filter(None, self.active.values()):
            process.terminate()

    def progress(self) -> str:
        """A line of what is running, with the time left that its log tells."""
        parts = []
        for run in list(self.active):
            log = run.work_dir / 'train.log'
            text = log.read_text(errors='replace')[-4000:] if log.exists() else ''
            found = re.findall(r'Epoch\(train\)\s+\[(\d+)\].*?eta: ([\d:, days]+\d)', text)
            parts.append(
                f'{run.name}: ' + ('epoch {}, {} left'.format(*found[-1]) if found else '-')
            )
        return '; '.join(parts)


def main() -> None:
    """Run the table."""
    args = parse_args()
    try:
        table = read_table(args.table)
        runs = runs_of(table, args)
        finished = [run for run in runs if run.record() is not None]
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    for run in runs:
        state = 'resumable' if run.last_checkpoint() else 'to run'
        print(f'{"finished" if run in finished else state:10}{run.row.name}, seed {run.seed}')
    if args.list:
        return
    if finished:
        print(
            f'{len(finished)} of {len(runs)} runs have records and are not trained again '
            '(--records DIR is for records of your own)'
        )
    worker = Worker(runs)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, worker.stop)
    threads = [threading.Thread(target=worker.work) for _ in range(args.jobs)]
    for thread in threads:
        thread.start()
    said = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        if worker.stopped:
            with worker.condition:
                worker.condition.notify_all()
        elif time.monotonic() - said > 60 and worker.active:
            print(worker.progress(), flush=True)
            said = time.monotonic()
    if worker.stopped:
        sys.exit('stopped: the same command goes on')
    if worker.failed:
        sys.exit(f'{len(worker.failed)} of {len(runs)} runs failed')


if __name__ == '__main__':
    main()
