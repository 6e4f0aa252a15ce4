"""Measures a base model: cloze, instructions, held-out worlds, the probe for forgetting, bits per byte.
How the models are made lives in ../pretrain. The questions are cloze.jsonl, instructions.jsonl, general_probe.jsonl and, made
from a seed with names and wordings that were never trained on, the held-out side of the curriculum.

usage: evaluate.py MODEL_DIR [--corpora DIR] [--conversations 200] [--out FILE]      prints JSON, then a row for ../README.md
"""
import argparse
import json
import math
import random
import re
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'pretrain'))
import curriculum  # noqa: E402
import imitate  # noqa: E402
from corpora import GROUPS, HELD_BACK, MANY  # noqa: E402
from reading import open_passage, read_pairs, read_table  # noqa: E402
from world import World, articles  # noqa: E402


def lines(path):
    return [json.loads(line) for line in open(path, encoding='utf8')]


class Subject:
    """The model under test: greedy answers, and the loss of a text."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.context = self.model.config.max_position_embeddings
        self.ended = self.answers = 0

    @torch.no_grad()
    def answer(self, messages, limit=96):
        text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = self.tokenizer(text, add_special_tokens=False, return_tensors='pt').input_ids[:, -(self.context - limit):]
        made = self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False)[0, ids.shape[1]:].tolist()
        end = self.tokenizer.eos_token_id
        self.answers += 1
        self.ended += end in made
        return self.tokenizer.decode(made[:made.index(end)] if end in made else made, skip_special_tokens=True).strip()

    @torch.no_grad()
    def nats(self, text, prefix=''):
        """Sum of the losses of `text` after `prefix` (or after the end-of-text token), and the number of its bytes."""
        head = self.tokenizer(prefix, add_special_tokens=False).input_ids or [self.tokenizer.bos_token_id]
        tail = self.tokenizer(text, add_special_tokens=False).input_ids
        ids = torch.tensor([(head + tail)[:self.context]])
        losses = torch.nn.functional.cross_entropy(self.model(ids).logits[0, :-1].float(), ids[0, 1:], reduction='none')[len(head) - 1:]
        kept = self.tokenizer.decode(ids[0, len(head):])
        return losses.sum().item(), len(kept.encode())

    def bits_per_byte(self, texts):
        pairs = [self.nats(t) for t in texts]
        return sum(n for n, _ in pairs) / math.log(2) / sum(b for _, b in pairs)


def passes(check, answer):
    """Whether an answer meets one row's check; every key of the check must hold."""
    low = answer.lower()
    if 'equals' in check and answer not in check['equals']:
        return False
    if any(c not in answer and c.lower() not in low for c in check.get('contains', [])):
        return False
    if 'contains' in check and any(c.isupper() and c not in answer for c in check['contains']):
        return False
    if any(not answer.startswith(s) for s in check.get('starts', [])):
        return False
    if 'max_words' in check and len(answer.split()) > check['max_words']:
        return False
    if 'words_from' in check and sum(w in low for w in check['words_from']) < check['at_least']:
        return False
    if 'json' in check or 'json_keys' in check:
        try:
            record = json.loads(answer)
        except ValueError:
            return False
        if not isinstance(record, dict) or ('json' in check and record != check['json']) or any(k not in record for k in check.get('json_keys', [])):
            return False
    return True


def cloze(subject):
    rows = lines(HERE / 'cloze.jsonl')
    right = 0
    for row in rows:
        scores = []
        for choice in row['choices']:
            n, _ = subject.nats(choice, row['text'])
            scores.append(n / max(1, len(subject.tokenizer(choice, add_special_tokens=False).input_ids)))
        right += scores.index(min(scores)) == row['answer']
    return right / len(rows)


def instructions(subject):
    by_ability = {}
    for row in lines(HERE / 'instructions.jsonl'):
        messages = ([{'role': 'system', 'content': row['system']}] if 'system' in row else []) + [{'role': 'user', 'content': row['prompt']}]
        by_ability.setdefault(row['ability'], []).append(passes(row['check'], subject.answer(messages)))
    report = {k: round(sum(v) / len(v), 3) for k, v in by_ability.items()}
    report['all'] = round(sum(sum(v) for v in by_ability.values()) / sum(len(v) for v in by_ability.values()), 3)
    return report


def normal(text):
    return ' '.join(text.lower().strip(' .!').split())


def reading(exercise):
    """Conversations of a reading exercise as (messages, answer, words that it must hold or None when nothing is stated)."""
    def make(w):
        messages, words = exercise(w)
        messages = articles(messages)
        return messages[:-1], messages[-1]['content'], words
    return make


def plain(skill):
    """Conversations of another skill; its answer is right as a whole or not at all."""
    def make(w):
        messages = articles(skill(w))
        return messages[:-1], messages[-1]['content'], None
    return make


READING = {'answer_from_passage': reading(curriculum.passage), 'open_reading': reading(lambda w: open_passage(w, curriculum.loosely)), 'table_reading': reading(lambda w: read_table(w, curriculum.loosely)), 'look_up': reading(read_pairs),
           'several_subjects': reading(imitate.several), 'look_alike_lines': reading(imitate.look_alike)}
OTHERS = {skill.__name__: plain(skill) for skill in (curriculum.to_json, curriculum.label, curriculum.instruction, curriculum.obey_system, curriculum.shop_talk, curriculum.remember, curriculum.known, curriculum.catalogue, imitate.few_shot, imitate.quoted, imitate.persona, imitate.house_rules)}


def holds(answer, words):
    """Whether one sentence says what was asked for, in whatever wording: the words stand in it, and it does not recite the passage."""
    return len(answer.split()) <= 16 and re.search(rf'(?<!\w){re.escape(normal(words))}(?!\w)', normal(answer)) is not None


def held_out_worlds(subject, count, seed=97):
    """Answers by skill. `known_wording`: unseen worlds, trained wordings; `new_wording`: reserved names, words and wordings too.
    `first_level`: unseen worlds in the one wording that the first level has; `first_level_new_words`: the same with reserved names and words.

    NAME: equal to the wanted answer. For reading also NAME_stated and NAME_absent (equal, where the text says it and where it does not)
    and NAME_found (where it says it: the answer holds the words asked for)."""
    report = {}
    for side, held_out, first_level in (('known_wording', False, False), ('new_wording', True, False), ('first_level', False, True), ('first_level_new_words', True, True)):
        report[side] = {}
        for name, make in {**READING, **OTHERS}.items():
            n, w = count if name in READING else count // 2, World(random.Random(seed), held_out, first_level)
            seen = []  # (stated, equal, holds, JSON with the right keys)
            for _ in range(n):
                messages, wanted, words = make(w)
                answer = subject.answer(messages)
                keys = None
                if name == 'to_json':
                    try:
                        keys = list(json.loads(answer)) == list(json.loads(wanted))
                    except (ValueError, TypeError):
                        keys = False
                seen.append((words is not None, normal(answer) == normal(wanted), words is not None and holds(answer, words), keys))
            share = lambda values: round(sum(values) / max(1, len(values)), 3)
            report[side][name] = share([equal for _, equal, _, _ in seen])
            if name == 'to_json':
                report[side]['json_right_keys'] = share([keys for *_, keys in seen])
            if name in READING:
                report[side][f'{name}_stated'] = share([equal for stated, equal, _, _ in seen if stated])
                report[side][f'{name}_found'] = share([held for stated, _, held, _ in seen if stated])
                absent = [equal for stated, equal, _, _ in seen if not stated]
                if absent:  # the first level asks so only in passages
                    report[side][f'{name}_absent'] = share(absent)
    return report


def probe(subject):
    rows = lines(HERE / 'general_probe.jsonl')
    answers = [(r, subject.answer([{'role': 'user', 'content': r['prompt']}])) for r in rows if r['kind'] == 'prompt']
    return {'bits_per_byte': round(subject.bits_per_byte([r['text'] for r in rows if r['kind'] == 'passage']), 4),
            'prompts': round(sum(any(x in a.lower() for x in r['anyOf']) for r, a in answers) / len(answers), 3)}


def corpus_bits(subject, folder):
    """Bits per byte on the last records of each corpus, which corpora.py holds back."""
    report = {}
    for group in GROUPS.values():
        for name in group:
            path = Path(folder) / f'{name}.jsonl'
            records = lines(path) if path.exists() else []
            if len(records) < MANY:
                continue
            texts = []
            for record in records[-HELD_BACK:]:
                texts.append(record['text'][:1500] if 'text' in record else subject.tokenizer.apply_chat_template(record['messages'], tokenize=False)[:1500])
            report[name] = round(subject.bits_per_byte(texts), 3)
    return report


def main():
    p = argparse.ArgumentParser()
    p.add_argument('model', type=Path)
    p.add_argument('--corpora', type=Path)
    p.add_argument('--conversations', type=int, default=200)
    p.add_argument('--out', type=Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    subject = Subject(a.model)
    report = {'model': a.model.resolve().name, 'parameters': sum(w.numel() for w in subject.model.parameters()), 'cloze': cloze(subject), 'instructions': instructions(subject),
              'held_out': held_out_worlds(subject, a.conversations), 'probe': probe(subject)}
    if a.corpora:
        report['bits_per_byte'] = corpus_bits(subject, a.corpora)
    report['end_of_turn'] = round(subject.ended / subject.answers, 3)
    text = json.dumps(report, indent=1)
    print(text)
    if a.out:
        a.out.write_text(text + '\n')
    known, new = report['held_out']['known_wording'], report['held_out']['new_wording']
    percent = lambda x: f'{100 * x:.0f} %'
    print('| ' + ' | '.join([report['model'], f'{report["parameters"] / 1e6:.2f} M', f'{report["probe"]["bits_per_byte"]:.2f}', percent(report['cloze']), percent(report['instructions']['all']),
                             *(percent(x[k]) for k in ('answer_from_passage', 'to_json', 'label', 'obey_system') for x in (known, new)), percent(report['end_of_turn']), percent(report['probe']['prompts'])]) + ' |')


if __name__ == '__main__':
    main()
