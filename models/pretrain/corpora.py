"""Corpora and curriculum → tokenizer → packed rows of token ids with a mask. The shares of the mix are here.
Which exercises there are lives in stream.py; how often each group is drawn is train.py's `--mix`.

usage: corpora.py CORPORA_DIR OUT_DIR [--tokenizer FILE] [--conversations N] [--scale S] [--context 512]
CORPORA_DIR holds NAME.jsonl: {"text"} or {"messages": [{"role", "content"}]} a line. Each group becomes rows of 257 and 513
tokens (contexts 256 and 512, or half and whole of `--context`): `GROUP-256.npy` (ids) and `GROUP-256.mask.npy` (0 padding, 1 context, 2 inside an answer).
"""
import argparse
import json
import os
import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from reading import find_sentences, recall_ids
from stream import generate
from world import World

SPECIAL = ['<|endoftext|>', '<|pad|>', '<|im_start|>', '<|im_end|>']
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")

# group → corpus → (megabytes of it at most, passes). The head of each file is the easiest part of it. `text` and `chat` are simple real text,
# `educational` says what things are and answers questions about them.
GROUPS = {
    'text': {'storybooks': (2, 3), 'books_children': (15, 1), 'books_easy': (3, 1)},
    'chat': {'story_chat': (1, 2), 'synthetic_persona_chat': (4, 1), 'self_dialogue': (4, 1), 'personality_chat': (1, 12), 'topical_chat': (1, 1), 'book_dialogues': (2, 1),
             'sgd': (1.2, 1), 'taskmaster3_part': (1, 1), 'taskmaster4': (1, 1)},
    'educational': {'wiki_leads': (4, 1), 'wiki_body_easy': (2.4, 1), 'wiki_qa': (2.4, 1), 'wordnet_qa': (2.7, 1), 'p3_qa': (2.5, 1), 'nq_open': (0.3, 1), 'seed_tasks': (1, 2)},
}
# So many records at the end of each corpus that has at least MANY are never read: evaluate.py measures bits per byte on them.
HELD_BACK, MANY = 24, 1000


def read(folder: Path, name: str, megabytes: float, rng: random.Random):
    """Records up to so many megabytes, in random order, without those held back."""
    lines = (folder / f'{name}.jsonl').read_text(encoding='utf8').rstrip('\n').split('\n')
    records, left = [], megabytes * 1e6
    for line in lines[:-HELD_BACK] if len(lines) >= MANY else lines:
        left -= len(line.encode())
        if left < 0:
            break
        records.append(json.loads(line))
    rng.shuffle(records)
    return records


def train_tokenizer(texts, path: Path, vocab: int):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), min_frequency=2))
    t.save(str(path))


def found_again(texts, count, seed):
    """Exercises on real texts: the sentence that holds a word, or that there is none."""
    w = World(random.Random(seed))
    while count > 0:
        text = w.rng.choice(texts)
        start = w.rng.randrange(max(1, len(text) - 1500))
        messages = find_sentences(text[start:start + 1500].partition(' ')[2], w)
        if messages:
            count -= 1
            yield {'messages': messages}


class Encoder:
    def __init__(self, path: Path):
        self.t = Tokenizer.from_file(str(path))
        self.eot, self.pad, self.start, self.end = (self.t.token_to_id(s) for s in SPECIAL)
        self.roles = {r: self.t.encode(r + '\n').ids for r in ('system', 'user', 'assistant')}
        self.newline = self.t.encode('\n').ids

    def pieces(self, records, longest):
        """Documents as (ids, mask), none longer than `longest`. Chats are cut before a user's turn, texts anywhere. An answer that is only `shown` (nothing
        before it tells what it is) is context."""
        texts = [m['content'] for r in records for m in r.get('messages', ())] + [r['text'] for r in records if 'text' in r]
        encoded = []
        for i in range(0, len(texts), 20000):
            encoded += [e.ids for e in self.t.encode_batch(texts[i:i + 20000])]
        chats = iter(encoded)
        count = sum(len(r.get('messages', ())) for r in records)
        running = iter(encoded[count:])
        for record in records:
            if 'text' in record:
                ids = next(running) + [self.eot]
                for i in range(0, len(ids), longest):
                    part = ids[i:i + longest]
                    yield part, [1] * len(part)
                continue
            ids, mask = [], []
            for m in record['messages']:
                content = next(chats)
                head = [self.start] + self.roles[m['role']]
                answer = 2 if m['role'] == 'assistant' and not m.get('shown') else 1
                new_ids = head + content + [self.end] + self.newline
                new_mask = [1] * len(head) + [answer] * (len(content) + 1) + [1] * len(self.newline)
                if ids and m['role'] == 'user' and len(ids) + len(new_ids) > longest * 0.8:
                    if len(ids) <= longest:
                        yield ids, mask
                    ids, mask = [], []
                ids, mask = ids + new_ids, mask + new_mask
            if ids and len(ids) <= longest:
                yield ids, mask


def pack(pieces, columns, encoder):
    """Best fit: each row starts with the start of a document; later documents follow after <|endoftext|>."""
    rows, open_rows = [], []

    def close(row):
        ids, mask = row
        gap = columns - len(ids)
        rows.append((ids + [encoder.pad] * gap, mask + [0] * gap))

    for ids, mask in pieces:
        fitting = [r for r in open_rows if len(r[0]) + 1 + len(ids) <= columns]
        if fitting:
            row = max(fitting, key=lambda r: len(r[0]))
            if row[0][-1] != encoder.eot:
                row[0].append(encoder.eot)
                row[1].append(1)
            row[0].extend(ids)
            row[1].extend(mask)
        else:
            row = (list(ids), list(mask))
            open_rows.append(row)
        if len(row[0]) > columns - 12:
            open_rows.remove(row)
            close(row)
        elif len(open_rows) > 48:
            fullest = max(open_rows, key=lambda r: len(r[0]))
            open_rows.remove(fullest)
            close(fullest)
    for row in open_rows:
        close(row)
    ids = np.array([r[0] for r in rows], np.uint16)
    mask = np.array([r[1] for r in rows], np.uint8)
    order = np.random.default_rng(0).permutation(len(rows))
    return ids[order], mask[order]


def main():
    p = argparse.ArgumentParser()
    p.add_argument('corpora', type=Path)
    p.add_argument('out', type=Path)
    p.add_argument('--tokenizer', type=Path, help='keep this one instead of training a new one')
    p.add_argument('--vocab', type=int, default=4096)
    p.add_argument('--conversations', type=int, default=120000, help='of the curriculum')
    p.add_argument('--first-level', type=float, default=0.5, help='share of them that is of the first level')
    p.add_argument('--context', type=int, default=512, help='tokens of the longest rows; the others have half')
    p.add_argument('--scale', type=float, default=1.0, help='multiplies the megabytes of every corpus')
    p.add_argument('--seed', type=int, default=0)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(a.seed)
    corpora = {g: {n: read(a.corpora, n, mb * a.scale, rng) for n, (mb, _) in names.items()} for g, names in GROUPS.items()}
    skills = list(generate(a.conversations, a.seed + 1, first_level=a.first_level))
    prose = [r['text'] for g, n in (('text', 'storybooks'), ('educational', 'wiki_leads'), ('text', 'books_children')) for r in corpora[g][n][len(corpora[g][n]) // 100 + 1:]]
    found = list(found_again(prose, a.conversations // 12, a.seed + 3))
    path = a.out / 'tokenizer.json'
    if a.tokenizer:
        path.write_bytes(a.tokenizer.read_bytes())
    else:
        def texts():
            for source in [*(r for g in corpora.values() for r in g.values()), skills]:
                for record in source[:4000]:
                    yield record['text'] if 'text' in record else '\n'.join(m['content'] for m in record['messages'])
        train_tokenizer(texts(), path, a.vocab)
    encoder = Encoder(path)
    (a.out / 'tokenizer_config.json').write_text(json.dumps({
        'tokenizer_class': 'PreTrainedTokenizerFast', 'bos_token': SPECIAL[0], 'eos_token': SPECIAL[3], 'pad_token': SPECIAL[1],
        'model_max_length': a.context, 'clean_up_tokenization_spaces': False, 'chat_template': TEMPLATE}, indent=2))
    shares = {}
    for context in (a.context // 2, a.context):
        groups = {}
        for group, sources in corpora.items():
            training, validation = [], []
            for name, records in sources.items():
                held = max(1, len(records) // 100)
                made = list(encoder.pieces(records[held:], context))
                shares[name] = sum(len(i) for i, _ in made) * GROUPS[group][name][1]
                training += made * GROUPS[group][name][1]
                validation += list(encoder.pieces(records[:held], context))
            groups[group] = training, validation
        made = {'curriculum': list(encoder.pieces(skills, context)), 'found_again': list(encoder.pieces(found, context))}
        shares |= {name: sum(len(i) for i, _ in pieces) for name, pieces in made.items()}
        groups['skill'] = sum(made.values(), []), list(encoder.pieces(list(generate(1500, a.seed + 2, held_out=True)), context))

        def keep(split, ids, mask):
            np.save(a.out / f'{split}-{context}.npy', ids)
            np.save(a.out / f'{split}-{context}.mask.npy', mask)
            print(split, context, ids.shape, f'{(mask > 0).sum() / 1e6:.2f} M tokens, {(mask == 2).sum() / 1e6:.2f} M in answers, fill {(mask > 0).mean():.3f}', flush=True)

        for group, (training, validation) in groups.items():
            rng.shuffle(training)
            keep(group, *pack(training, context + 1, encoder))
            keep(f'{group}.val', *pack(validation, context + 1, encoder))
        words = range(len(SPECIAL), encoder.t.get_vocab_size())
        for split, tokens in (('recall', int(8e6 * a.scale)), ('recall.val', 25000)):
            rows = [recall_ids(rng, context + 1, words) for _ in range(max(24, tokens // context))]
            keep(split, np.array([ids for ids, _ in rows], np.uint16), np.array([mask for _, mask in rows], np.uint8))
            if split == 'recall':
                shares['recall'] = len(rows) * (context + 1)
    (a.out / 'shares.json').write_text(json.dumps({'tokens': shares, 'special': [encoder.eot, encoder.pad, encoder.start, encoder.end], 'vocab': encoder.t.get_vocab_size(), 'context': a.context}, indent=1))


if __name__ == '__main__':
    os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')
    main()
