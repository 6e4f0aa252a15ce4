"""The evaluations of several models as two tables for ../README.md: the first level, and everything.
How they are measured is in evaluate.py.

usage: table.py MODEL_DIR …      reads MODEL_DIR/evaluation.json, prints Markdown
"""
import json
import sys
from pathlib import Path

SKILLS = {
    **{key + part: text for key, name in (('answer_from_passage', '**Answer from a passage**'), ('several_subjects', '**A passage about several subjects**'), ('look_alike_lines', '**Lines that look alike**'), ('open_reading', '**The same with an open vocabulary**'), ('table_reading', '**Read a table**'), ('look_up', '**Look up a key**'))
       for part, text in (('', name), ('_stated', '&nbsp;&nbsp;the right sentence when it is stated'), ('_found', '&nbsp;&nbsp;the right words when it is stated'), ('_absent', '&nbsp;&nbsp;“not stated” when it is absent'))},
    'to_json': '**Sentence → JSON**, wholly right', 'json_right_keys': '&nbsp;&nbsp;valid JSON with the right keys', 'label': '**Labels**',
    'instruction': '**Instructions of the curriculum**', 'obey_system': '**System prompt obeyed** and right', 'shop_talk': 'Shop with a price list', 'catalogue': 'Catalogue with several values a line',
    'remember': 'Remembers what the user said', 'known': 'Facts about the world', 'few_shot': '**Examples to imitate**', 'quoted': '**Quoted words at the start or end**', 'persona': 'Persona of the system prompt', 'house_rules': 'House rules',
}
WORDINGS = {'known_wording': 'known wording', 'new_wording': 'new wording'}
FIRST_LEVEL = {'first_level': 'known words', 'first_level_new_words': 'new words'}


def percent(x):
    return '–' if x is None else f'{100 * x:.0f} %'  # a skill that is newer than the report


def main():
    reports = [json.loads((Path(folder) / 'evaluation.json').read_text()) for folder in sys.argv[1:]]
    rows = [
        ('**Probe, 64 passages**: bits per byte (lower is better)', lambda r: f'{r["probe"]["bits_per_byte"]:.2f}'),
        ('Probe, 40 prompts', lambda r: percent(r['probe']['prompts'])),
        ('Cloze, 100 sentences (chance 25 %)', lambda r: percent(r['cloze'])),
        ('Instructions, 60 prompts', lambda r: percent(r['instructions']['all'])),
    ]
    rows += [(f'&nbsp;&nbsp;{k}', lambda r, k=k: percent(r['instructions'][k])) for k in reports[0]['instructions'] if k != 'all']
    rows += [(f'{name}, {wording}', lambda r, w=w, k=k: percent(r['held_out'][w].get(k))) for k, name in SKILLS.items() for w, wording in WORDINGS.items()]
    rows.append(('Ends its turn (all answers above)', lambda r: percent(r['end_of_turn'])))
    rows += [(f'Bits per byte, {k}', lambda r, k=k: f'{r["bits_per_byte"][k]:.2f}' if k in r['bits_per_byte'] else '–') for k in reports[-1]['bits_per_byte']]
    names = [r['model'].replace('pebble-', 'Pebble-').replace('m', 'M') for r in reports]
    print('| first level | ' + ' | '.join(f'{name}, {words}' for name in names for words in FIRST_LEVEL.values()) + ' |')
    print('| --- |' + ' --- |' * 2 * len(reports))
    for k, name in SKILLS.items():
        if not name.startswith('&nbsp;') or k == 'answer_from_passage_absent':
            print(f'| {name} | ' + ' | '.join(percent(r['held_out'][side].get(k)) for r in reports for side in FIRST_LEVEL) + ' |')
    print('\n| | ' + ' | '.join(names) + ' |')
    print('| --- |' + ' --- |' * len(reports))
    for name, cell in rows:
        print(f'| {name} | ' + ' | '.join(map(cell, reports)) + ' |')


if __name__ == '__main__':
    main()
