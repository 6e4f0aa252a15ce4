"""How often each exercise of the curriculum is drawn, and the stream of conversations that training reads.
The exercises live in curriculum.py and imitate.py, tokens and the mix with real texts in corpora.py and train.py.

usage: stream.py OUT.jsonl [CONVERSATIONS] [SEED]      one {"messages": [...]} or {"text": ...} a line
"""
import json
import random
import sys

from curriculum import answer_from_passage, catalogue, instruction, intent_json, known, label, look_up, obey_system, open_reading, plain_text, remember, shop_talk, small_talk, story, table_reading, to_json
from imitate import few_shot, house_rules, look_alike, persona, quoted, several
from world import World, articles

# This share of the conversations shows two to six examples and asks for one more.
FEW_SHOT = 1 / 3


def several_subjects(w):
    return several(w)[0]


def look_alike_lines(w):
    return look_alike(w)[0]


# skill: (how often, how often on the first level)
SKILLS = {answer_from_passage: (20, 36), open_reading: (20, 18), table_reading: (10, 14), look_up: (24, 12), to_json: (12, 12), intent_json: (4, 4), label: (12, 10), instruction: (24, 44), obey_system: (14, 24),
          small_talk: (4, 4), remember: (4, 3), known: (8, 26), story: (5, 3), shop_talk: (9, 18), catalogue: (24, 20), plain_text: (10, 2),
          quoted: (22, 22), persona: (12, 10), several_subjects: (26, 22), look_alike_lines: (26, 22), house_rules: (18, 14)}
SINGLE = (to_json, label, instruction, small_talk, known, intent_json, story)


def document(w):
    """One conversation (or text). Short exercises without a system prompt are often strung together."""
    skill = few_shot if w.rng.random() < FEW_SHOT else w.rng.choices(list(SKILLS), [often[w.first_level] for often in SKILLS.values()])[0]
    made = skill(w)
    if isinstance(made, str):
        return {'text': articles([{'content': made}])[0]['content']}
    if skill in SINGLE and made[0]['role'] != 'system':
        while w.rng.random() < 0.6:
            more = w.rng.choice(SINGLE)(w)
            if more[0]['role'] != 'system':
                made = made + more
    return {'messages': articles(made)}


def generate(count, seed=0, held_out=False, first_level=0.5):
    """`count` conversations or texts, of which the share `first_level` is of the first level (see World)."""
    w = World(random.Random(seed), held_out)
    for _ in range(count):
        w.first_level = w.rng.random() < first_level
        yield document(w)


if __name__ == '__main__':
    out, count, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60000, int(sys.argv[3]) if len(sys.argv) > 3 else 0
    with open(out, 'w', encoding='utf8') as f:
        for record in generate(count, seed):
            f.write(json.dumps(record, ensure_ascii=False) + '\n')
