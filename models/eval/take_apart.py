"""Whether a model fails by new words or by new wordings: exercises of the curriculum with either, both or none taken from the reserved side.
The whole evaluation is evaluate.py, which has none and both only (and there, in training's wordings, also loosely put questions).

usage: take_apart.py MODEL_DIR [--count 100] [--wrong 0]      prints a Markdown table; --wrong N shows so many wrong answers of each cell
"""
import argparse
import random
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / 'pretrain'))
import curriculum  # noqa: E402
from evaluate import Subject, normal  # noqa: E402
from world import World  # noqa: E402

SKILLS = (curriculum.answer_from_passage, curriculum.to_json, curriculum.label, curriculum.instruction, curriculum.obey_system, curriculum.shop_talk, curriculum.known)
CELLS = {'trained words and wordings': (False, False), 'reserved words': (False, True), 'reserved wordings': (True, False), 'both reserved': (True, True)}


class HalfReserved(World):
    """A world of which wordings and words come from the reserved side or not, each by itself; invented names are new in any case."""

    def __init__(self, rng, wordings, words):
        super().__init__(rng, held_out=True)
        self.wordings, self.words = wordings, words

    def reserving(self, held_out, draw, *what):
        self.held_out = held_out
        drawn = draw(*what)
        self.held_out = True
        return drawn

    def template(self, forms, more=()):
        return self.reserving(self.wordings, super().template, forms, more)

    def split(self, words):
        return self.reserving(self.words, super().split, words)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('model', type=Path)
    p.add_argument('--count', type=int, default=100)
    p.add_argument('--wrong', type=int, default=0)
    a = p.parse_args()
    torch.set_num_threads(1)
    subject = Subject(a.model)
    print(f'| right of {a.count} | ' + ' | '.join(CELLS) + ' |\n| --- |' + ' --- |' * len(CELLS))
    for skill in SKILLS:
        row, wrong = [], []
        for name, (wordings, words) in CELLS.items():
            w, right = HalfReserved(random.Random(97), wordings, words), 0
            for _ in range(a.count):
                *messages, wanted = skill(w)
                answer = subject.answer(messages)
                right += normal(answer) == normal(wanted['content'])
                if normal(answer) != normal(wanted['content']):
                    wrong.append((name, messages[-1]['content'], wanted['content'], answer))
            row.append(str(right))
            for line in [x for x in wrong if x[0] == name][:a.wrong]:
                print(' ', line, file=sys.stderr)
        print(f'| {skill.__name__} | ' + ' | '.join(row) + ' |', flush=True)


if __name__ == '__main__':
    main()
