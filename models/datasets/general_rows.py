"""Makes the general rows that a run can mix in against forgetting (replay): conversations of the curriculum, and short passages.
The exercises live in ../pretrain, the passages in general-passages.txt, how the rows are used in src/data/prepareRows.ts.

usage: general_rows.py      writes public/general/replay.jsonl; the same rows each time

No row asks what a question of the evaluation asks, and no passage is one of the probe for forgetting: both would make that probe useless.
"""
import json
import random
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'pretrain'))
import curriculum as c  # noqa: E402
import imitate as i  # noqa: E402
import stream  # noqa: E402
from world import World, articles  # noqa: E402

SEED = 20261128
LONGEST = 420  # characters of all messages of a row: short rows are cheap, and small models read little at a time
PER_SKILL = {  # how many rows of each exercise: what people ask any model first, more often
    c.known: 70, c.small_talk: 36, c.instruction: 100, c.label: 36, c.to_json: 24, c.intent_json: 12, c.answer_from_passage: 40, c.open_reading: 16, c.table_reading: 8, c.look_up: 8,
    c.remember: 16, c.story: 24, c.shop_talk: 16, c.obey_system: 30, c.catalogue: 12, i.persona: 12, i.house_rules: 12, i.few_shot: 12, i.quoted: 8, stream.several_subjects: 8}


def lines(name):
    return [json.loads(line) for line in open(HERE.parent / 'eval' / name, encoding='utf8')]


def plain(text):
    return ' '.join(re.findall(r'\w+', text.lower()))


def chat_row(made):
    """Answers that the curriculum only shows, in place of teaching them, have weight 0."""
    return {'messages': [{'role': m['role'], 'content': m['content'], **({'weight': 0} if m.get('shown') else {})} for m in made]}


def main():
    kept_back = {plain(row['prompt']) for name in ('general_probe.jsonl', 'instructions.jsonl') for row in lines(name) if 'prompt' in row}
    passages = (HERE / 'general-passages.txt').read_text(encoding='utf8').splitlines()
    assert not {plain(p) for p in passages} & {plain(row['text']) for row in lines('general_probe.jsonl') if 'text' in row}
    w = World(random.Random(SEED))
    rows, seen = [{'text': p} for p in passages], set()
    for skill, wanted in PER_SKILL.items():
        made = 0
        while made < wanted:
            w.first_level = w.rng.random() < 0.5
            row = chat_row(articles(skill(w)))
            asked = [plain(m['content']) for m in row['messages'] if m['role'] == 'user']
            key = ' / '.join(asked)
            if sum(len(m['content']) for m in row['messages']) > LONGEST or key in seen or kept_back & set(asked) or any(plain(f'{m["content"]}') in kept_back for m in row['messages']):
                continue
            seen.add(key)
            rows.append(row)
            made += 1
    random.Random(SEED).shuffle(rows)
    out = HERE.parents[1] / 'public' / 'general' / 'replay.jsonl'
    out.write_text(''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows), encoding='utf8')
    print(f'{out.name}: {len(rows)} rows, {sum("text" in row for row in rows)} of them passages')


main()
