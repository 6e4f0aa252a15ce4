"""Fills the rows of a model's linear weights that are exactly zero, or as good as zero, with faint noise. Nothing the model computes changes.
Why a row became zero: models/README.md, "Units that learn nothing".

usage: fill_zero_rows.py MODEL_DIR        rewrites model.safetensors in place and prints how many rows of which tensor were filled

A DoRA adapter divides by the norm of each row of the base weight plus its own change, so that a row of zeros makes it NaN in PEFT. The dead
rows lie in gate, up, query and key weights. A gate and up row of a dead unit multiply a zero column of down: their values reach nothing. A
dead query and key row multiply each other in a score: 1e-4 times 1e-4 of a usual one. The noise is normal, from a seed, 1e-4 of the mean
norm of the tensor's live rows.
"""
import argparse
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

SHARE = 1e-4
PARTS = ('gate_proj', 'up_proj', 'q_proj', 'k_proj')


def fill(weights: dict[str, torch.Tensor], seed: int = 1) -> dict[str, int]:
    """Changes `weights` in place. Returns rows filled by tensor name. A row counts as dead below SHARE of the mean norm of all rows that are not zero."""
    random = torch.Generator().manual_seed(seed)
    filled = {}
    for name in sorted(weights):
        if not any(f'.{part}.' in name for part in PARTS):
            continue
        w = weights[name]
        norms = w.float().norm(dim=1)
        live = norms[norms > 0].mean()
        dead = norms < SHARE * live
        if dead.any():
            noise = torch.randn(int(dead.sum()), w.shape[1], generator=random)
            w[dead] = (noise * SHARE * live / w.shape[1] ** 0.5).to(w.dtype)
            filled[name] = int(dead.sum())
    return filled


def main():
    p = argparse.ArgumentParser()
    p.add_argument('model', type=Path)
    file = p.parse_args().model / 'model.safetensors'
    with safe_open(file, 'pt') as opened:
        metadata = opened.metadata()
    weights = load_file(file)
    filled = fill(weights)
    for name, count in filled.items():
        print(name, count, 'of', weights[name].shape[0])
    save_file(weights, file, metadata=metadata)
    zero = sum(int((w.float().norm(dim=1) == 0).sum()) for name, w in weights.items() if w.dim() == 2 and '.layers.' in name)
    print(sum(filled.values()), 'rows filled;', zero, 'rows of the linear weights are zero now')


if __name__ == '__main__':
    main()
