"""Packed rows → a trained model: warm-up, constant, cool-down over a budget of minutes, the end of it mostly on answers.
The network lives in model.py, the data in corpora.py, the Hugging Face folder in export.py.

usage: train.py --data DIR --out DIR --minutes 60 [--dim 128 --layers 4 --heads 4 --ffn 384] [--start-from FILE | --go-on-from FILE]
Writes OUT/state.pt every five minutes and when it is told to stop (SIGTERM); the same command goes on from there. Time spent
counts, not steps: on a CPU the processor's time of its one thread, so that a run that gives way to others gets as much as one that
is alone; on CUDA the clock's. Products are bf16 on both.
OUT/before-cooldown.pt is the state as it was when the cool-down began. A finished run is an end; a longer one goes on from that file
with `--go-on-from` and more `--minutes` (the minutes that it has spent count), as if it had been given so many from the start.
"""
import argparse
import json
import os
import signal
import time

import numpy as np
import torch

from dead import count_dead, weights_of
from model import Decoder, Muon, Shape, TiedLoss


class Rows:
    """One group's rows, drawn in shuffled passes."""

    def __init__(self, folder, group, context, rng):
        self.path, self.ids, self.mask = f'{folder}/{group}-{context}', None, None
        self.rng, self.order, self.at, self.passes = rng, np.empty(0, np.int64), 0, 0

    def draw(self):
        if self.ids is None:
            self.ids = np.load(f'{self.path}.npy', mmap_mode='r')
            self.mask = np.load(f'{self.path}.mask.npy', mmap_mode='r')
        if self.at >= len(self.order):
            self.order, self.at, self.passes = self.rng.permutation(len(self.ids)), 0, self.passes + 1
        i = self.order[self.at]
        self.at += 1
        return self.ids[i], self.mask[i]


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument('--data', required=True)
    p.add_argument('--out', required=True)
    p.add_argument('--minutes', type=float, default=60)
    p.add_argument('--start-from', help='weights of the same shape: a state.pt, or an exported folder (such as ../pebble-1m)')
    p.add_argument('--go-on-from', help='all of another run, its optimizer and the time it spent too: its before-cooldown.pt')
    p.add_argument('--dim', type=int, default=128)
    p.add_argument('--layers', type=int, default=4)
    p.add_argument('--heads', type=int, default=4)
    p.add_argument('--ffn', type=int, default=384)
    p.add_argument('--batch', type=int, default=12, help='rows of half the context (256 tokens of 512); half as many of the whole')
    p.add_argument('--lr', type=float, default=3e-3, help='AdamW: embedding and norms')
    p.add_argument('--muon', type=float, default=0.02, help='Muon: matrices of the layers')
    p.add_argument('--decay', type=float, default=0.1, help='weight decay of the matrices')
    p.add_argument('--plain-decay', action='store_true', help='decay every weight; otherwise only where the decay points the way of the update')
    p.add_argument('--plain-muon', action='store_true', help='leave the rows of the update as they are; otherwise they are brought to one size')
    p.add_argument('--dead-limit', type=float, default=0.01, help='stop when a larger share of the units, of the query/key pairs or of the heads is dead (dead.py)')
    p.add_argument('--warmup', type=int, default=100, help='steps')
    p.add_argument('--cooldown', type=float, default=0.5, help='last part of the budget over which the rates fall to nothing')
    p.add_argument('--long-from', type=float, default=0.7, help='from this part of the budget on, half of the batches have rows of the whole context')
    p.add_argument('--answers-from', type=float, default=0.86, help='from this part on, the answers of most chats are learned and not their questions (the chat stage)')
    p.add_argument('--mix', default='text:0.25,chat:0.15,educational:0.3,skill:0.27,recall:0.03')
    p.add_argument('--chat-mix', default='text:0.2,chat:0.2,educational:0.3,skill:0.28,recall:0.02')
    p.add_argument('--whole', type=float, default=0.25, help='share of exercises, and in the chat stage of chats, of which the prompts are learned too')
    p.add_argument('--averaging', type=float, default=0.004, help='part of the running average that each step replaces; export.py takes it with --average')
    p.add_argument('--report-every', type=float, default=60, help='seconds between reports')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--no-compile', action='store_true')
    return p.parse_args()


def main():
    a = arguments()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    clock = time.time if device == 'cuda' else time.process_time
    if device == 'cpu':
        torch.set_num_threads(1)
    os.makedirs(a.out, exist_ok=True)
    made_of = json.load(open(f'{a.data}/shares.json'))
    longest = made_of['context']
    short = longest // 2
    model = Decoder(Shape(vocab=made_of['vocab'], context=longest, dim=a.dim, layers=a.layers, heads=a.heads, ffn=a.ffn))
    state_path, done, spent, step, tokens = f'{a.out}/state.pt', {}, 0.0, 0, 0
    torch.manual_seed(a.seed)
    going_on = state_path if os.path.exists(state_path) else a.go_on_from
    if going_on:
        done = torch.load(going_on, map_location='cpu')
        model.load_state_dict(done['model'])
        spent, step, tokens = done['spent'], done['step'], done['tokens']
    elif a.start_from:
        model.load_state_dict(weights_of(a.start_from))
    model.to(device)
    model.compute = torch.bfloat16
    matrices = [w for n, w in model.named_parameters() if w.dim() > 1 and n.startswith('layers')]
    rest = [w for n, w in model.named_parameters() if w.dim() <= 1 or not n.startswith('layers')]
    optimizers = [Muon(matrices, lr=a.muon, weight_decay=a.decay, row_norm=not a.plain_muon, cautious=not a.plain_decay), torch.optim.AdamW(rest, lr=a.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)]
    bases = [a.muon, a.lr]
    if done:
        for optimizer, saved in zip(optimizers, done['optimizers']):
            optimizer.load_state_dict(saved)
    average = done.get('average') or {n: w.detach().clone() for n, w in model.named_parameters()}
    average = {n: w.to(device) for n, w in average.items()}
    # The hidden states are compiled, the loss is not: its slices have changing lengths.
    hidden = model if a.no_compile else torch.compile(model, dynamic=False)

    def loss_of(ids, targets):
        return TiedLoss.apply(hidden(ids).reshape(-1, a.dim), model.embed_tokens.weight, targets.reshape(-1))

    rng = np.random.default_rng(a.seed + step)
    groups = ('text', 'chat', 'educational', 'skill', 'recall')
    sources = {(g, c): Rows(a.data, g, c, rng) for g in groups for c in (short, longest)}
    mixes = [{k: float(v) for k, v in (x.split(':') for x in m.split(','))} for m in (a.mix, a.chat_mix)]

    def batch(context, chat_stage):
        mix = mixes[chat_stage]
        drawn = rng.choice(groups, size=a.batch * short // context, p=[mix.get(g, 0) for g in groups])
        ids = np.empty((len(drawn), context + 1), np.int64)
        targets = np.empty((len(drawn), context), np.int64)
        for i, group in enumerate(drawn):
            row, mask = sources[group, context].draw()
            if rng.random() < 0.2:  # as a text is read that stands alone: a row never starts with <|endoftext|> otherwise
                row, mask = np.append(made_of['special'][0], row[:-1]), np.append(1, mask[:-1])
            ids[i] = row
            some = chat_stage or group == 'skill'
            answers_only = (mask == 2).any() and (group == 'recall' or (some and rng.random() > a.whole))
            targets[i] = np.where(mask[1:] >= (2 if answers_only else 1), ids[i, 1:], -100)  # not `row`: unsigned, -100 would wrap
        return torch.from_numpy(ids[:, :-1].copy()).to(device), torch.from_numpy(targets).to(device)

    @torch.no_grad()
    def validate(rows=24):
        report = {}
        for group in groups:
            ids = torch.from_numpy(np.load(f'{a.data}/{group}.val-{short}.npy')[:rows].astype(np.int64)).to(device)
            mask = torch.from_numpy(np.load(f'{a.data}/{group}.val-{short}.mask.npy')[:rows]).to(device)
            least = 2 if group in ('skill', 'recall') else 1
            report[group] = round(model.loss(ids[:, :-1], ids[:, 1:].masked_fill(mask[:, 1:] < least, -100)).item(), 3)
        return report

    # What was read from which token on, for shares.py: a run may go on with other rows or another mix.
    stages = done.get('stages', [])

    def enter(mix):
        stage = {'mix': mix, 'sources': made_of['tokens']}
        if not stages or any(stages[-1][k] != v for k, v in stage.items()):
            stages.append({'from': tokens, **stage})

    def save(path=state_path):
        torch.save({'model': model.state_dict(), 'average': average, 'optimizers': [o.state_dict() for o in optimizers], 'step': step, 'tokens': tokens, 'stages': stages,
                    'spent': spent + clock() - started, 'arguments': vars(a)}, path + '.tmp')
        os.replace(path + '.tmp', path)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    budget, started = a.minutes * 60, clock()
    last_save, last_log, recent, first_tokens = started, started, [], tokens
    cooling = spent / budget >= 1 - a.cooldown
    if cooling and going_on and going_on == a.go_on_from:
        raise SystemExit(f'{going_on} has spent {spent / 60:.1f} minutes: of {a.minutes} in all, that is within the cool-down. Give more --minutes.')
    print(f'{sum(w.numel() for w in model.parameters())} weights on {device}, step {step}, {spent / 60:.1f} of {a.minutes} minutes spent', flush=True)
    while not stop:
        now = clock()
        progress = (spent + now - started) / budget
        if progress >= 1:
            break
        if not cooling and progress >= 1 - a.cooldown:
            save(f'{a.out}/before-cooldown.pt')
            cooling = True
        factor = min(1, (step + 1) / a.warmup) * min(1, max(0.01, (1 - progress) / a.cooldown))
        for optimizer, base in zip(optimizers, bases):
            for group in optimizer.param_groups:
                group['lr'] = base * factor
        context = longest if progress >= a.long_from and step % 2 else short
        chat_stage = progress >= a.answers_from
        enter(a.chat_mix if chat_stage else a.mix)
        ids, targets = batch(context, chat_stage)
        loss = loss_of(ids, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        step, tokens = step + 1, tokens + ids.numel()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                average[name].lerp_(weight, a.averaging)
        recent.append(loss.item())
        if now - last_log > a.report_every:
            print(f'step {step} progress {progress:.3f} loss {np.mean(recent):.4f} factor {factor:.2f} {tokens / 1e6:.2f} M tokens {(tokens - first_tokens) / (now - started):.0f} tokens/s', flush=True)
            last_log, recent = now, []
            dead = count_dead(dict(model.named_parameters()), a.heads)
            print(dead, flush=True)
            if dead.share() > a.dead_limit:
                save()
                raise SystemExit(f'{dead}: more than {100 * a.dead_limit:.1f} % get no gradient any more, so this run was stopped and its state kept. `dead.py` gives them fresh rows: `--start-from` its file.')
        if now - last_save > 300:
            save()
            print('validation', validate(), flush=True)
            last_save = clock()
    save()
    print('stopped' if stop else 'finished', step, tokens, validate(96), flush=True)
    model.load_state_dict(average)
    print('running average of the weights', validate(96), flush=True)


if __name__ == '__main__':
    main()
