"""What a base model does with its prompt alone: examples to imitate (0, 2 and 4), quoted openings and endings, a persona, lines that look alike; and its dead weights.
The rest of the evaluation is evaluate.py. Labels, openings, forms and texts here are written by hand and not in the curriculum; persona and lines are its reserved side.

usage: prompting.py MODEL_DIR [--count 60] [--seeds 3] [--out FILE]      greedy answers; prints JSON
Right: labels and forms, the answer as a whole; openings, that the answer begins with the words (and `right`: that the rest is the answer too).
Each share is the mean over draws of examples and questions with so many seeds, with the standard error over all answers.
"""
import argparse
import json
import random
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / 'pretrain'))
from dead import count_dead, weights_of  # noqa: E402
from evaluate import Subject, normal  # noqa: E402
from imitate import look_alike, persona  # noqa: E402
from world import World, articles  # noqa: E402

LABELS = [('dax', 'mup'), ('QIL', 'BRO'), ('k+', 'k-'), ('moss', 'flint'), ('group 7', 'group 4'), ('<on>', '<off>'), ('ayay', 'nono'), ('XX', 'OO'), ('west', 'south'), ('T-1', 'T-9')]
# class → texts of its two sides
TEXTS = {
    'mood': (['The soup was lovely.', 'What a friendly waiter!', 'I slept so well in this bed.', 'We laughed all evening.', 'The seats are comfortable.', 'Great value, I am happy.', 'The garden is beautiful.', 'My son loves this toy.', 'They were kind and helpful.', 'A perfect little shop.', 'I will come again soon.', 'The cake tasted wonderful.'],
             ['The soup was cold.', 'What a rude waiter!', 'The bed was hard and dirty.', 'We were bored all evening.', 'The seats are broken.', 'Bad value, I am angry.', 'The garden is ugly.', 'My son hates this toy.', 'They were rude and slow.', 'A terrible little shop.', 'I will never come again.', 'The cake tasted awful.']),
    'animal or tool': (['tiger', 'camel', 'goose', 'monkey', 'donkey', 'whale', 'eagle', 'mouse', 'horse', 'rabbit', 'sheep', 'frog'], ['hammer', 'ladder', 'chisel', 'pliers', 'wrench', 'spade', 'saw', 'axe', 'drill', 'rake', 'scissors', 'shovel']),
    'question or order': (['Where is my hat?', 'Who made this cake?', 'When does the bus leave?', 'How old is the tree?', 'What is in the box?', 'Why is the door open?', 'Which road is shorter?', 'Is the shop open?', 'Can you hear the sea?', 'Are we late?'],
                          ['Close the window.', 'Bring me the hat.', 'Wash your hands.', 'Take the left road.', 'Open the box.', 'Wait for the bus.', 'Call the doctor.', 'Give me the key.', 'Cut the cake.', 'Sit down, please.'])}
FORMS = ['{x}, said the fox', '~{x}~', '{x} (old stock)', 'item={x};', 'one {x} too many', '{x} & {x}', '/{x}/ok', 'No more {x}, please!', '*{x}* *{x}*', 'a box for the {x}']
THINGS = 'window pepper camera statue candle carpet melon saddle bridge needle ticket barrel guitar mirror pillow'.split()
OPENINGS = ['Ahoy, sailor!', 'As you wish:', 'Sure thing, boss.', 'Hear, hear!', 'Dear reader,', 'Brave new day!', 'Let me think.', '>>>', 'Now then,', 'My honest answer:', 'Beep boop.', 'Green light!']
QUESTIONS = [('What is the opposite of hot?', 'cold'), ('How many legs does a spider have?', 'eight'), ('What does a cow eat?', 'grass'), ('Where does a frog live?', 'pond'), ('What do bees make?', 'honey'), ('What sound does a dog make?', 'bark'),
             ('What is a young cat called?', 'kitten'), ('How many days are in a week?', 'seven'), ('What is the sky like?', 'blue'), ('What do cows give us?', 'milk')]
BEGIN = ['Begin every answer with "{p}"', 'Start all your replies with "{p}"', 'Your answers must begin with "{p}"', 'The first words of each answer are "{p}"']
END = ['End every answer with "{p}"', 'Finish all your replies with "{p}"', 'Your answers must end with "{p}"', 'The last words of each answer are "{p}"']


def prompted(rng, shown, asked, instruction):
    """Messages that show pairs and ask for one more, as turns, as lines with names or as arrows."""
    layout = rng.randrange(3)
    user = lambda text: {'role': 'user', 'content': text}
    if layout == 0 or not shown:
        turns = [m for x, y in shown for m in (user(x), {'role': 'assistant', 'content': y})]
        return ([{'role': 'system', 'content': instruction}] if instruction else []) + [*turns, user(asked)]
    if layout == 1:
        return [user('\n'.join([*([instruction] if instruction else []), *(f'Text: {x}\nLabel: {y}' for x, y in shown), f'Text: {asked}\nLabel:']))]
    return [user('\n'.join([*([instruction] if instruction else []), *(f'{x} -> {y}' for x, y in shown), f'{asked} ->']))]


def label_case(rng, k):
    """(messages, answer). Without examples the instruction tells the two labels and nothing of what they mean."""
    sides, names = rng.choice(list(TEXTS.values())), list(rng.choice(LABELS))
    rng.shuffle(names)
    texts = [rng.sample(side, len(side)) for side in sides]
    order = [i % 2 for i in range(k)]
    rng.shuffle(order)
    shown = [(texts[i].pop(), names[i]) for i in order]
    i = rng.randrange(2)
    return prompted(rng, shown, texts[i].pop(), f'Label each text as {names[0]} or {names[1]}.'), names[i]


def form_case(rng, k):
    form, words = rng.choice(FORMS), rng.sample(THINGS, k + 1)
    return prompted(rng, [(x, form.format(x=x)) for x in words[:k]], words[k], ''), form.format(x=words[k])


def opening_case(rng, k):
    words, questions = rng.choice(OPENINGS), rng.sample(QUESTIONS, k + 1)
    shown = [m for q, v in questions[:k] for m in ({'role': 'user', 'content': q}, {'role': 'assistant', 'content': f'{words} It is {v}.'})]
    return [*shown, {'role': 'user', 'content': questions[k][0]}], words


def quoted_case(rng, forms):
    words, (question, value) = rng.choice(OPENINGS), rng.choice(QUESTIONS)
    rule = rng.choice(forms).format(p=words)
    return [{'role': 'system', 'content': rule}, {'role': 'user', 'content': question}], words, value


def share(hits):
    mean = sum(hits) / len(hits)
    return {'right': round(mean, 3), 'se': round((mean * (1 - mean) / len(hits)) ** 0.5, 3), 'of': len(hits)}


def measure(subject, count, seeds):
    report = {}
    for k in (0, 2, 4):
        for name, make, ok in (('labels', label_case, lambda a, y: normal(a) == normal(y)), ('forms', form_case, lambda a, y: a.strip() == y), ('openings', opening_case, lambda a, y: a.startswith(y))):
            hits = []
            for seed in range(seeds):
                rng = random.Random(1000 * seed + k)
                for _ in range(count):
                    messages, wanted = make(rng, k)
                    hits.append(ok(subject.answer(messages, 40), wanted))
            report[f'{name}, {k} examples'] = share(hits)
    for name, forms, ok in (('quoted opening obeyed', BEGIN, str.startswith), ('quoted ending obeyed', END, str.endswith)):
        obeyed, right = [], []
        for seed in range(seeds):
            rng = random.Random(seed)
            for _ in range(count):
                messages, words, value = quoted_case(rng, forms)
                answer = subject.answer(messages, 60)
                obeyed.append(ok(answer, words))
                right.append(obeyed[-1] and value in answer.lower())
        report[name] = {**share(obeyed), 'and right': round(sum(right) / len(right), 3)}
    made = {'persona, last answer': lambda w: (articles(persona(w)), None)}
    made |= {f'{n} look-alike line{"s" * (n > 1)}': lambda w, n=n: (articles(look_alike(w, n)[0]), None) for n in (1, 3, 5)}
    for name, make in made.items():
        hits, w = [], World(random.Random(97), held_out=True)
        for _ in range(count * seeds):
            (*messages, wanted), _ = make(w)
            hits.append(normal(subject.answer(messages)) == normal(wanted['content']))
        report[name] = share(hits)
    return report


def main():
    p = argparse.ArgumentParser()
    p.add_argument('model', type=Path)
    p.add_argument('--count', type=int, default=60)
    p.add_argument('--seeds', type=int, default=3)
    p.add_argument('--out', type=Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    subject = Subject(a.model)
    dead = count_dead(weights_of(str(a.model)), subject.model.config.num_attention_heads)
    report = {'model': a.model.resolve().name, 'dead': {'units': [dead.units, dead.of_units], 'query_key_pairs': [dead.pairs, dead.of_pairs], 'heads': [dead.heads, dead.of_heads]}, **measure(subject, a.count, a.seeds)}
    text = json.dumps(report, indent=1)
    print(text)
    if a.out:
        a.out.write_text(text + '\n')


if __name__ == '__main__':
    main()
