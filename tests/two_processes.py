"""A function called on two gloo processes of the CPU, as ``dist_train.sh`` would start them."""

import os
import socket
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dist import init_dist


def on_two_processes(function, folder: Path) -> list:
    """What ``function()`` returns on rank 0 and on rank 1.

    Args:
        function (Callable[[], object]): a module's own, as the processes import it by its name.
        folder (pathlib.Path): an empty folder, for what they return.
    """
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    mp.spawn(_call, (function, port, folder), nprocs=2)
    return [torch.load(folder / f'{rank}.pt') for rank in range(2)]


def _call(rank: int, function, port: int, folder: Path) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    init_dist('pytorch', backend='gloo')
    torch.save(function(), folder / f'{rank}.pt')
    # Python's end under gloo's threads aborts the process now and then: see guard.guarded.
    dist.destroy_process_group()
