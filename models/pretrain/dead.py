"""Dead weights: MLP units and query/key pairs that get no gradient any more. How many there are, and fresh weights for them.
The network and its optimiser live in model.py; training on afterwards is train.py's `--start-from`.

usage: dead.py WEIGHTS                               prints how many of each layer are dead
       dead.py WEIGHTS --revive OUT.pt [--seed 0]    writes them with fresh rows, after a check that the logits are the same
WEIGHTS is a folder that export.py wrote or a training state.

A gated unit computes down · (silu(gate · x) × (up · x)). The gradient of each of its three vectors has the other two as factors, so a unit
of which two are zero never moves again. A query and a key row meet only in their product, so a head of which both are zero never does either
(it then averages its values over all earlier positions, which still counts: its values are left alone). Rotary embedding
joins the rows i and i + headDim / 2 of a head, so these are counted together, as one pair.
"""
import argparse
import os
from dataclasses import dataclass

import torch
from safetensors.torch import load_file

from model import Decoder, Shape

# Below this part of the median norm of its kind a vector counts as zero. Live ones are above 0.1 in all weights that were looked at.
NEAR_ZERO = 0.01


@dataclass
class Dead:
    """Counts over all layers; `by_layer` holds (dead units, dead query/key pairs, dead heads) of each."""

    units: int
    of_units: int
    pairs: int
    of_pairs: int
    heads: int
    of_heads: int
    by_layer: list

    def share(self) -> float:
        """The largest share that is dead: of the units, of the query/key pairs, or of the heads."""
        return max(self.units / self.of_units, self.pairs / self.of_pairs, self.heads / self.of_heads)

    def __str__(self):
        return f'dead units {self.units} of {self.of_units}, query/key pairs {self.pairs} of {self.of_pairs}, heads {self.heads} of {self.of_heads}'


def weights_of(path):
    """The weights alone, {name: f32 tensor}, of a training state or of a folder that export.py wrote (f16)."""
    if not os.path.isdir(path):
        return torch.load(path, map_location='cpu')['model']
    return {name.removeprefix('model.'): w.float() for name, w in load_file(f'{path}/model.safetensors').items()}


def layers_of(weights) -> int:
    return 1 + max(int(name.split('.')[1]) for name in weights if name.startswith('layers.'))


def unit_norms(weights, layer):
    """Norms of the units' vectors, [3, ffn]: gate rows, up rows, down columns."""
    gate, up, down = (weights[f'layers.{layer}.mlp.{name}_proj.weight'] for name in ('gate', 'up', 'down'))
    return torch.stack((gate.norm(dim=1), up.norm(dim=1), down.norm(dim=0)))


def pair_norms(weights, layer, heads):
    """Norms of the rows that rotary embedding joins, [2, heads, headDim / 2]: of the queries, of the keys."""
    return torch.stack([weights[f'layers.{layer}.self_attn.{name}_proj.weight'].unflatten(0, (heads, 2, -1)).square().sum((1, 3)).sqrt() for name in 'qk'])


def typical(norms):
    """[layers, kinds, …] → [kinds]: the median norm over all layers, of those that are not exactly zero."""
    return torch.stack([x[x > 0].median() if (x > 0).any() else torch.tensor(1.0) for x in norms.transpose(0, 1)])


@torch.no_grad()
def dead_masks(weights, heads):
    """(dead units [layers, ffn], dead pairs [layers, heads, headDim / 2]) of {name: tensor}, both bool."""
    units = torch.stack([unit_norms(weights, i) for i in range(layers_of(weights))])
    pairs = torch.stack([pair_norms(weights, i, heads) for i in range(layers_of(weights))])
    zero_units = units < NEAR_ZERO * typical(units)[None, :, None]
    zero_pairs = pairs < NEAR_ZERO * typical(pairs)[None, :, None, None]
    return zero_units.sum(1) >= 2, zero_pairs.all(1)


def count_dead(weights, heads) -> Dead:
    units, pairs = dead_masks(weights, heads)
    whole = pairs.all(-1)
    return Dead(units.sum().item(), units.numel(), pairs.sum().item(), pairs.numel(), whole.sum().item(), whole.numel(),
                [(u.sum().item(), p.sum().item(), h.sum().item()) for u, p, h in zip(units, pairs, whole)])


@torch.no_grad()
def revive(weights, heads, seed=0):
    """Fresh rows for what is dead, in new tensors; what the model computes stays the same.

    Units: gate and up rows drawn at the typical norm of live ones; the down column is set to zero, so the unit adds nothing until the first
    update, which reaches that column because gate and up are not zero. Pairs: key rows drawn likewise, query rows set to zero, so that
    every score stays what it was; the first update reaches the query rows because the keys are not zero."""
    weights = {name: w.detach().clone() for name, w in weights.items()}
    generator = torch.Generator().manual_seed(seed)
    units, pairs = dead_masks(weights, heads)
    unit_norm = typical(torch.stack([unit_norms(weights, i) for i in range(len(units))]))
    pair_norm = typical(torch.stack([pair_norms(weights, i, heads) for i in range(len(units))]))

    def fresh(rows, columns, norm):
        return torch.randn(rows, columns, generator=generator) * norm / columns ** 0.5

    for i in range(len(units)):
        gate, up, down = (weights[f'layers.{i}.mlp.{name}_proj.weight'] for name in ('gate', 'up', 'down'))
        for rows, norm in ((gate, unit_norm[0]), (up, unit_norm[1])):
            rows[units[i]] = fresh(int(units[i].sum()), rows.shape[1], norm)
        down[:, units[i]] = 0
        both = pairs[i][:, None, :].expand(-1, 2, -1).reshape(-1)  # [heads × headDim]
        query, key = (weights[f'layers.{i}.self_attn.{name}_proj.weight'] for name in 'qk')
        key[both] = fresh(int(both.sum()), key.shape[1], pair_norm[1] / 2 ** 0.5)
        query[both] = 0
    return weights


def decoder_of(weights, heads):
    """A Decoder in f32 that has these weights."""
    vocab, dim = weights['embed_tokens.weight'].shape
    model = Decoder(Shape(vocab=vocab, dim=dim, layers=layers_of(weights), heads=heads, ffn=weights['layers.0.mlp.gate_proj.weight'].shape[0]))
    model.load_state_dict(weights)
    return model


@torch.no_grad()
def largest_difference(before, after, heads, rows=4, tokens=128) -> float:
    """Largest difference of the logits of two sets of weights on random tokens."""
    ids = torch.randint(before['embed_tokens.weight'].shape[0], (rows, tokens), generator=torch.Generator().manual_seed(1))
    return (decoder_of(before, heads).logits(ids) - decoder_of(after, heads).logits(ids)).abs().max().item()


def gradients_reach(weights, heads) -> float:
    """The smallest share, over the kinds (down columns, query rows), of revived zero vectors that one backward pass gives a gradient."""
    model = decoder_of(weights, heads)
    ids = torch.randint(model.shape.vocab, (4, 129), generator=torch.Generator().manual_seed(2))
    model.loss(ids[:, :-1], ids[:, 1:]).backward()
    reached = []
    for layer in model.layers:
        for weight, dim in ((layer.mlp.down_proj.weight, 0), (layer.self_attn.q_proj.weight, 1)):
            zero = weight.norm(dim=dim) == 0
            if zero.any():
                reached.append((weight.grad.norm(dim=dim)[zero] > 0).float().mean().item())
    return min(reached, default=1.0)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('weights')
    p.add_argument('--head-dim', type=int, default=32)
    p.add_argument('--revive', metavar='OUT.pt')
    p.add_argument('--seed', type=int, default=0)
    a = p.parse_args()
    torch.set_num_threads(1)
    weights = weights_of(a.weights)
    heads = weights['layers.0.self_attn.q_proj.weight'].shape[0] // a.head_dim
    dead = count_dead(weights, heads)
    print(dead)
    for i, (units, pairs, whole) in enumerate(dead.by_layer):
        print(f'  layer {i}: {units} units, {pairs} query/key pairs, {whole} heads')
    if a.revive:
        fresh = revive(weights, heads, a.seed)
        difference, reached, left = largest_difference(weights, fresh, heads), gradients_reach(fresh, heads), count_dead(fresh, heads)
        print(f'revived: {left}; largest difference of the logits {difference:.1e}; {100 * reached:.1f} % of the zero vectors get a gradient')
        if difference > 1e-3 or left.share() > 0 or reached < 1:
            raise SystemExit('The revived weights are not what they should be; nothing was written.')
        torch.save({'model': fresh}, a.revive)


if __name__ == '__main__':
    main()
