"""Eight experts on four processes of two pretended machines: the same numbers as in one, and what travels.

On real machines `torchrun --nnodes 2 --nproc-per-node 2` starts the processes, and "nccl" takes the place of "gloo".
"""

import tempfile
from pathlib import Path

import torch
from torch import distributed as dist
from torch import multiprocessing

from waypost.experts import FeedForward, MoE, TopK
from waypost.experts.parallel import Exchange, Shard, TwoLevel, average_gradients, levels

PROCESSES, MACHINES, WIDTH, EXPERTS = 4, 2, 64, 8


def main(rank: int, store: str) -> None:
    torch.set_num_threads(1)
    files = dist.FileStore(store, PROCESSES)
    dist.init_process_group("gloo", store=files, rank=rank, world_size=PROCESSES)
    torch.manual_seed(0)  # the same weights everywhere
    router, experts = TopK(WIDTH, EXPERTS, k=4), FeedForward(WIDTH, hidden=128, experts=EXPERTS)
    alone = MoE(router, experts)
    torch.manual_seed(rank)  # and other tokens
    x = torch.randn(100, WIDTH)
    ways = {
        "flat": Exchange(None, EXPERTS, per_node=PROCESSES // MACHINES),
        "two levels": TwoLevel(levels(MACHINES), EXPERTS),
    }
    for name, way in ways.items():
        layer = MoE(router, Shard(experts, rank, PROCESSES), dispatcher=way)
        y, routing = layer(x)
        y.square().mean().backward()
        average_gradients(layer)
        router.zero_grad()
        sent = way.dispatch(x, routing).own.sent
        apart = (y - alone(x).y).abs().max().item()
        if rank == 0:
            print(f"{name}: {sent.between} bytes to the other machine, {sent.inside} on its own; off by {apart:.0e}")
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(main, (str(Path(folder) / "store"),), nprocs=PROCESSES)
