"""What a run has read: a table of sources with licence and share, for ../README.md.
The sources themselves are named in corpora.py.

usage: shares.py STATE.pt      (the state says what was drawn from which token on)
"""
import json
import sys

import torch

from corpora import GROUPS

LICENCES = {
    'curriculum': 'ours', 'recall': 'ours (tokens drawn at random)', 'found_again': 'exercises on sentences of storybooks, wiki_leads and books_children', 'storybooks': 'CC BY 4.0 (African Storybook, StoryWeaver, Book Dash)', 'books_children': 'public domain in the USA (Project Gutenberg)',
    'books_easy': 'public domain in the USA (Project Gutenberg)', 'wiki_leads': 'CC BY-SA 3.0 (English Wikipedia, 2015)', 'wiki_body_easy': 'CC BY-SA 3.0 (English Wikipedia, 2015)', 'story_chat': 'CC BY 4.0 / public domain',
    'synthetic_persona_chat': 'CC BY 4.0 (Google)', 'self_dialogue': 'BSD-3-Clause (Fainberg et al. 2018)', 'personality_chat': 'MIT (Microsoft)',
    'topical_chat': 'CDLA-Sharing-1.0 (Amazon)', 'book_dialogues': 'public domain in the USA', 'sgd': 'CC BY-SA 4.0 (Google)', 'taskmaster3_part': 'CC BY 4.0 (Google)',
    'taskmaster4': 'CC BY 4.0 (Google)', 'wiki_qa': 'CC BY-SA 3.0 (English Wikipedia, 2015)', 'wordnet_qa': 'CC BY 4.0 / WordNet',
    'p3_qa': 'Apache-2.0 (P3); sets CC BY, CC BY-SA, MIT', 'nq_open': 'Apache-2.0; data CC BY-SA 3.0', 'seed_tasks': 'Apache-2.0',
}


def main():
    state = torch.load(sys.argv[1], map_location='cpu')
    group = {name: g for g, names in GROUPS.items() for name in names} | {'curriculum': 'skill', 'found_again': 'skill', 'recall': 'recall'}
    read = {}
    ends = [stage['from'] for stage in state['stages'][1:]] + [state['tokens']]
    for stage, end in zip(state['stages'], ends):
        mix = {k: float(v) for k, v in (x.split(':') for x in stage['mix'].split(','))}
        sums = {g: sum(n for name, n in stage['sources'].items() if group[name] == g) for g in mix}
        print(f'{(end - stage["from"]) / 1e6:.1f} million tokens at {stage["mix"]}')
        for name, n in stage['sources'].items():  # one whose group is not drawn in this stage is not read
            read[name] = read.get(name, 0) + (end - stage['from']) * mix.get(group[name], 0) * n / sums.get(group[name], n)
    print(f'{state["tokens"] / 1e6:.1f} million tokens\n\n| source | licence | share |\n| --- | --- | --- |')
    for name in sorted(read, key=read.get, reverse=True):
        print(f'| {"the curriculum" if name == "curriculum" else name} | {LICENCES[name]} | {100 * read[name] / state["tokens"]:.1f} % |')


if __name__ == '__main__':
    main()
