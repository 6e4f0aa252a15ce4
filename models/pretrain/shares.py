"""What a run has read: a table of sources with licence and share, for ../README.md.
The sources themselves are named in corpora.py.

usage: shares.py DATA_DIR STATE.pt      (the state says which mix was drawn, and when the chat stage began)
"""
import json
import sys

import torch

from corpora import GROUPS

LICENCES = {
    'curriculum': 'ours', 'storybooks': 'CC BY 4.0 (African Storybook, StoryWeaver, Book Dash)', 'books_children': 'public domain in the USA (Project Gutenberg)',
    'books_easy': 'public domain in the USA (Project Gutenberg)', 'wiki_leads': 'CC BY-SA 3.0 (English Wikipedia, 2015)', 'story_chat': 'CC BY 4.0 / public domain',
    'synthetic_persona_chat': 'CC BY 4.0 (Google)', 'self_dialogue': 'BSD-3-Clause (Fainberg et al. 2018)', 'personality_chat': 'MIT (Microsoft)',
    'topical_chat': 'CDLA-Sharing-1.0 (Amazon)', 'book_dialogues': 'public domain in the USA', 'sgd': 'CC BY-SA 4.0 (Google)', 'taskmaster3_part': 'CC BY 4.0 (Google)',
    'taskmaster4': 'CC BY 4.0 (Google)', 'wiki_qa': 'CC BY-SA 3.0 (English Wikipedia, 2015)', 'wordnet_qa': 'CC BY 4.0 / WordNet',
    'p3_qa': 'Apache-2.0 (P3); sets CC BY, CC BY-SA, MIT', 'nq_open': 'Apache-2.0; data CC BY-SA 3.0', 'seed_tasks': 'Apache-2.0',
}


def main():
    data, state = sys.argv[1:]
    tokens = json.load(open(f'{data}/shares.json'))['tokens']
    state = torch.load(state, map_location='cpu')
    made = state['arguments']
    first, last = ({k: float(v) for k, v in (x.split(':') for x in made[m].split(','))} for m in ('mix', 'chat_mix'))
    ended = min(1.0, state['spent'] / 60 / made['minutes'])
    chat = max(0.0, ended - made['answers_from']) / ended
    group = {name: g for g, names in GROUPS.items() for name in names} | {'curriculum': 'skill'}
    sums = {g: sum(n for name, n in tokens.items() if group[name] == g) for g in first}
    share = {name: n / sums[group[name]] * (first[group[name]] * (1 - chat) + last[group[name]] * chat) for name, n in tokens.items()}
    print(f'{state["tokens"] / 1e6:.1f} million tokens, {100 * chat:.0f} % of the time on answers only')
    print('| source | licence | share |\n| --- | --- | --- |')
    for name in sorted(share, key=share.get, reverse=True):
        print(f'| {"the curriculum" if name == "curriculum" else name} | {LICENCES[name]} | {100 * share[name]:.1f} % |')


if __name__ == '__main__':
    main()
