"""Whether a reserved wording or name is in the stream of exercises that training reads. What is reserved is decided in world.py (`template`, `reserved`).

usage: check_reserved.py [CONVERSATIONS] [SEED] [--held-out]      prints what was found; exit code 1 when anything was
With `--held-out` the stream is that of evaluation, in which nearly all must be found: that the check sees them.

The reserved wordings are read from the source: the last of every list of three or more that stands in a call of `template` (or `t`, its short name), or in one of
the tables of wordings. A place for a word (`{x}`) matches one to three words, none of them “of”. One counts as met when a whole line or sentence of a system prompt or of a user
is that wording, without regard to case and to a stop at its end; a statement is not met by a question. Names: people and places of world.py that `reserved` keeps.
"""
import argparse
import ast
import collections
import re
import sys
from pathlib import Path

from curriculum import SMALL_TALK, TONES
from reading import SHORT
from stream import generate
from world import ATTRIBUTES, PEOPLE, PLACES, reserved
from wordings import HOUSE_RULES

HERE = Path(__file__).parent
ANY = '\0'
# Wordings that say nothing but their words, so that other text contains them by chance.
LEAST_LETTERS = 5
WORDS = r'(?!of\b)[^\s.?!:;"]+(?: (?!of\b)[^\s.?!:;"]+){0,2}'


def text_of(node):
    """A string of the source with every place for a word as ANY, or None when it is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r'\{[^{}]*\}', ANY, node.value)
    if isinstance(node, ast.JoinedStr):
        return ''.join(part.value if isinstance(part, ast.Constant) else ANY for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left), text_of(node.right)
        return (left if left is not None else ANY) + (right if right is not None else ANY)
    return None


def reserved_wordings():
    """{wording with ANY for a word: [the other wordings of its list]}."""
    found = {}

    def keep(forms):
        if len(forms) >= 3 and forms[-1] is not None:
            found.setdefault(forms[-1], []).extend(f for f in forms[:-1] if f is not None)

    for name in ('curriculum', 'reading', 'imitate'):
        for call in ast.walk(ast.parse((HERE / f'{name}.py').read_text(encoding='utf8'))):
            if isinstance(call, ast.Call) and (getattr(call.func, 'attr', None) == 'template' or getattr(call.func, 'id', None) == 't') and call.args and isinstance(call.args[0], ast.List):
                keep([text_of(x) for x in call.args[0].elts])
    places = lambda forms: [re.sub(r'\{[^{}]*\}', ANY, f) for f in forms]
    for attributes in ATTRIBUTES.values():
        for _, statements, questions, _ in attributes:
            keep(places(statements))
            keep(places(questions))
    for forms in (*(prompts for prompts, _ in TONES.values()), *(forms for forms, _ in SMALL_TALK), SHORT, HOUSE_RULES):
        keep(places(forms))
    return found


def pattern_of(wording):
    """A regular expression for a whole segment, or None for a wording with too few letters of its own."""
    bare = wording.strip().rstrip('.:! ').lower()
    if sum(c.isalpha() for c in bare) < LEAST_LETTERS:
        return None
    question = bare.endswith('?')
    return re.compile(WORDS.join(re.escape(part) for part in bare.rstrip('?').split(ANY)) + (r'\??$' if question else '$'))


def segments(text):
    """Lines and sentences of a prompt, lower case, without a stop at the end; a question keeps its mark."""
    for line in text.split('\n'):
        for part in {line, *re.split(r'(?<=[.?!:])\s+', line)}:
            part = part.strip().rstrip('.:! ').lower()
            if re.match(r'(do|does|did|is|are|who|what|which|when|where|how) ', part) and part[-1] != '?':  # typed without its mark
                part += '?'
            if part:
                yield part


def main():
    p = argparse.ArgumentParser()
    p.add_argument('count', type=int, nargs='?', default=40000)
    p.add_argument('seed', type=int, nargs='?', default=1)
    p.add_argument('--held-out', action='store_true')
    a = p.parse_args()
    wordings = reserved_wordings()
    patterns = {}
    for wording, others in wordings.items():
        pattern = pattern_of(wording)
        # A list may hold a wording that the reserved one would match too ("Say {x}." beside "Say {y}!"); then it cannot be told apart.
        if pattern and not any(pattern.match(s) for other in others for s in segments(other.replace(ANY, 'word'))):
            patterns[wording] = pattern
    by_start = collections.defaultdict(list)  # first letters → patterns, so that a segment is tried with few of them
    for wording, pattern in patterns.items():
        by_start['' if wording.startswith(ANY) else wording.strip().lower()[:3].split(ANY)[0]].append((wording, pattern))
    names = {x for x in PEOPLE + PLACES if reserved(x)}
    met, named = collections.Counter(), collections.Counter()
    example = {}
    for record in generate(a.count, a.seed, a.held_out):
        texts = [m['content'] for m in record['messages'] if m['role'] != 'assistant'] if 'messages' in record else [record['text']]
        for text in texts:
            for segment in set(segments(text)):
                for start in {'', segment[:1], segment[:2], segment[:3]}:
                    for wording, pattern in by_start.get(start, ()):
                        if pattern.match(segment):
                            met[wording] += 1
                            example.setdefault(wording, segment)
        for word in re.findall(r'[A-Z][a-z]+', ' '.join(m['content'] for m in record.get('messages', ())) + record.get('text', '')):
            if word in names:
                named[word] += 1
    print(f'{a.count} conversations, {len(met)} met of {len(patterns)} reserved wordings that can be told apart (of {len(wordings)}), {len(names)} reserved names')
    for wording, n in met.most_common():
        print(f'  {n} × {wording.replace(ANY, "{…}")!r}: {example[wording]!r}')
    for name, n in named.most_common():
        print(f'  {n} × {name}')
    sys.exit(1 if met or named else 0)


if __name__ == '__main__':
    main()
