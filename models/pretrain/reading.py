"""Exercises in reading with an open vocabulary: hundreds of nouns, verbs and relations in a few dozen sentence patterns, tables, and
sentences of real texts to be found again. What can be asked about the small world of people, towns and shops lives in curriculum.py.

With few wordings a small model learns by heart which sentence goes with which question. Here the words of the question decide, and
any of them can be wrong: the same verb with another person, the same noun in another place, a thing that is not in the text.
"""
import re

import wordings as say
from world import ADJECTIVES, ATTRIBUTES, COLOURS, COLUMNS, DAYS, GIVING, HOURS, ITEMS, MATERIALS, MONTHS, NOUNS, NUMBER_WORDS, RELATIONS, VERBS, WHERE, a

NOT_STATED = 'That is not stated.'
SHORT = ['Answer in a few words.', 'Short answer.', 'Give only the answer.', 'Just the answer, please.']
REASONS = '''it was too {a}|it was not {a} enough|{p} asked for it|the {n} was {a}|nobody wanted it|it belonged to {p}|it came from {t}|it was made of {m}|the price was {c} coins|the {n} was lost'''.split('|')

class Passage:
    """Statements that share words, so that no single word of a question is enough, each with questions and the words that answer them.

    A pattern returns (statement, keys, questions): what is claimed, as tuples of words, and (key, question, answer). Two statements never
    claim the same, so no question has two answers; a question whose key nothing claims is not answered."""

    def __init__(self, w, count):
        rng = self.rng = w.rng
        self.w = w
        self.people = [w.value('person') for _ in range(w.pick([2, 3, 4]))]
        self.towns = [w.value('place') for _ in range(rng.choice([1, 2, 2]))]
        self.nouns = [w.split(NOUNS) for _ in range(w.pick([2, 3, 4, 5]))]
        self.verbs = [w.split(VERBS) for _ in range(w.pick([1, 2, 3], 2))]
        self.relations = [w.split(RELATIONS) for _ in range(w.pick([1, 2, 3], 2))]
        self.adjectives = [w.split(ADJECTIVES) for _ in range(rng.choice([2, 3, 4]))]
        self.described = {n for n in self.nouns if w.now_and_then(0.4)}  # "the old lamp" is never called "the lamp" too
        self.patterns = rng.sample([self.relation, self.deed, self.where, self.when, self.number, self.giving, self.why, self.quality, self.called], w.pick([1, 2, 3, 4], 2))
        self.facts, self.claimed = [], set()
        for _ in range(60):
            if len(self.facts) == count:
                break
            statement, keys, questions = rng.choice(self.patterns)()
            if not self.claimed & set(keys):
                self.claimed.update(keys)
                self.facts.append((sentence(statement), questions))

    def one(self, name):
        return self.rng.choice(getattr(self, name))

    def thing(self):
        noun = self.one('nouns')
        return f'the {self.one("adjectives")} {noun}' if noun in self.described else f'the {noun}'

    def being(self):
        return self.one('people') if self.rng.random() < 0.5 else self.thing()

    def relation(self):
        w, r, s = self.w, self.one('relations'), self.being()
        v = self.rng.choice([w.invented, lambda: w.split(ADJECTIVES), lambda: str(self.rng.randint(2, 999)), lambda: w.value('person'), lambda: a(w.split(NOUNS))])()
        key = ('relation', r, s)
        return w.template([f'The {r} of {s} is {v}.', f'{v} is the {r} of {s}.', f'{s} has this {r}: {v}.', f'For {s} the {r} is {v}.'], say.OPEN['relation_said']).format(r=r, s=s, v=v), [key], [
            (key, w.template([f'What is the {r} of {s}?', f'Tell me the {r} of {s}.', f'Which {r} does {s} have?', f'The {r} of {s}?', f'Do you know the {r} of {s}?', f'Name the {r} of {s}.'], say.OPEN['relation']).format(r=r, s=s), v)]

    def deed(self):
        w, p, (base, past), n = self.w, self.one('people'), self.one('verbs'), self.thing()
        what, who = ('what', p, base), ('who', base, n)
        return f'{p} {past} {n}.', [what, who], [
            (what, w.template([f'What did {p} {base}?', f'Which thing did {p} {base}?', f'Tell me what {p} {past}.', f'What was it that {p} {past}?'], say.OPEN['what']).format(p=p, base=base, past=past), n),
            (who, w.template([f'Who {past} {n}?', f'Which person {past} {n}?', f'Tell me who {past} {n}.', f'Who was it that {past} {n}?'], say.OPEN['who']).format(past=past, n=n), p)]

    def where(self):
        w, s, m, prep = self.w, self.being(), f'the {self.w.split(NOUNS)}', self.w.split(WHERE)
        key = ('where', s)
        return w.template([f'{s} is {prep} {m}.', f'You find {s} {prep} {m}.', f'{s} stands {prep} {m}.', f'{s} can be seen {prep} {m}.']), [key], [
            (key, w.template([f'Where is {s}?', f'Where can I find {s}?', f'In what place is {s}?', f'Tell me where {s} is.', f'Where would I find {s}?'], say.OPEN['where']).format(s=s), f'{prep} {m}')]

    def when(self):
        w, p, (base, past), n = self.w, self.one('people'), self.one('verbs'), self.thing()
        time = self.rng.choice([f'on {w.open(DAYS)}', f'in {w.open(MONTHS)}', f'at {self.rng.choice(HOURS)}', f'in {self.rng.randint(1800, 2020)}'])
        key = ('when', p, base, n)
        return w.template([f'{p} {past} {n} {time}.', f'{time} {p} {past} {n}.', f'It was {time} that {p} {past} {n}.']), [key, ('what', p, base), ('who', base, n)], [
            (key, w.template([f'When did {p} {base} {n}?', f'At what time did {p} {base} {n}?', f'When was it that {p} {past} {n}?', f'Tell me when {p} {past} {n}.'], say.OPEN['when']).format(p=p, base=base, past=past, n=n), time)]

    def number(self):
        w, n = self.w, self.one('nouns')
        c = self.rng.choice([str(self.rng.randint(2, 900)), w.open(NUMBER_WORDS[2:])])
        many = plural(n)
        if self.rng.random() < 0.5 and not w.first_level:
            t = self.one('towns')
            key = ('number', many, t)
            return w.template([f'There are {c} {many} in {t}.', f'{t} has {c} {many}.', f'In {t} you can count {c} {many}.']), [key], [
                (key, w.template([f'How many {many} are in {t}?', f'How many {many} does {t} have?', f'What is the number of {many} in {t}?', f'How many {many} can I count in {t}?'], say.OPEN['in_town']).format(many=many, t=t), c)]
        p = self.one('people')
        key = ('number', many, p)
        return w.template([f'{p} has {c} {many}.', f'{p} keeps {c} {many}.', f'{c} {many} belong to {p}.']), [key], [
            (key, w.template([f'How many {many} does {p} have?', f'How many {many} does {p} keep?', f'How many {many} belong to {p}?'], say.OPEN['of_person']).format(many=many, p=p), c)]

    def giving(self):
        w, (base, past), n = self.w, self.w.split(GIVING), self.thing()
        p = self.one('people')
        q = self.rng.choice([x for x in self.people if x != p] or [w.invented()])
        giver, taker, gift = ('giver', n), ('taker', n), ('gift', p, q)
        return w.template([f'{p} {past} {n} to {q}.', f'To {q}, {p} {past} {n}.']), [giver, taker, gift, ('who', base, n), ('what', p, base)], [
            (giver, w.template([f'Who {past} {n} to {q}?', f'Which person {past} {n} to {q}?', f'From whom did {q} get {n}?'], say.OPEN['giver']).format(past=past, n=n, q=q), p),
            (taker, w.template([f'To whom did {p} {base} {n}?', f'Who got {n} from {p}?', f'Who did {p} {base} {n} to?'], say.OPEN['taker']).format(p=p, base=base, past=past, n=n), q),
            (gift, w.template([f'What did {p} {base} to {q}?', f'What did {q} get from {p}?', f'Which thing did {p} {base} to {q}?'], say.OPEN['gift']).format(p=p, base=base, past=past, q=q), n)]

    def why(self):
        w, p, (base, past), n = self.w, self.one('people'), self.one('verbs'), self.thing()
        reason = self.rng.choice(REASONS).format(a=w.split(ADJECTIVES), p=self.one('people'), n=w.split(NOUNS), t=self.one('towns'), m=w.open(MATERIALS), c=self.rng.randint(2, 90))
        key = ('why', p, base, n)
        return w.template([f'{p} {past} {n} because {reason}.', f'Because {reason}, {p} {past} {n}.', f'{p} {past} {n}, for {reason}.']), [key, ('what', p, base), ('who', base, n)], [
            (key, w.template([f'Why did {p} {base} {n}?', f'For what reason did {p} {base} {n}?', f'What was the reason that {p} {past} {n}?', f'Tell me why {p} {past} {n}.'], say.OPEN['why']).format(p=p, base=base, past=past, n=n), f'because {reason}')]

    def quality(self):
        w, n, t, v = self.w, self.one('nouns'), self.one('towns'), self.w.split(ADJECTIVES)
        key = ('quality', n, t)
        return w.template([f'The {n} in {t} is {v}.', f'{t} has {a(v)} {n}.', f'In {t} the {n} is {v}.', f'The {n} of {t} looks {v}.']), [key], [
            (key, w.template([f'What is the {n} in {t} like?', f'How is the {n} in {t}?', f'What do you know about the {n} in {t}?', f'Describe the {n} of {t}.'], say.OPEN['quality']).format(n=n, t=t), v)]

    def called(self):
        w, n, name = self.w, self.thing(), self.w.invented()
        key, back = ('called', n), ('bears', name)
        return w.template([f'{n} is called {name}.', f'The name of {n} is {name}.', f'People call {n} {name}.']), [key, back, ('relation', 'name', n)], [
            (key, w.template([f'What is {n} called?', f'What is the name of {n}?', f'How do people call {n}?', f'By what name is {n} known?'], say.OPEN['called']).format(n=n), name),
            (back, w.template([f'What is called {name}?', f'Which thing has the name {name}?', f'What do people call {name}?'], say.OPEN['bears']).format(name=name), n)]

    def unanswered(self):
        """A question of the same kinds that nothing here answers; most of its words come from the passage."""
        fresh = {'people': lambda: self.w.value('person'), 'nouns': lambda: self.w.split(NOUNS), 'relations': lambda: self.w.split(RELATIONS),
                 'towns': lambda: self.w.value('place'), 'verbs': lambda: self.w.split(VERBS)}
        for _ in range(20):
            name = self.rng.choice([*fresh, ''])
            kept = getattr(self, name, None)
            if name:
                setattr(self, name, [fresh[name]()])
            # Mostly one of the passage's patterns with other words; sometimes another thing is asked about the same words.
            pattern = self.rng.choice(self.patterns) if self.rng.random() < 0.7 else self.rng.choice([self.relation, self.where, self.when, self.number, self.why, self.quality])
            _, _, questions = pattern()
            if name:
                setattr(self, name, kept)
            key, question, _ = self.rng.choice(questions)
            if key not in self.claimed:
                return sentence(question)
        return None


def plural(noun):
    if noun.endswith(('s', 'x', 'sh', 'ch')):
        return noun + 'es'
    if noun.endswith('y') and noun[-2] not in 'aeiou':
        return noun[:-1] + 'ies'
    return noun + 's'


def sentence(text):
    return text[0].upper() + text[1:]


def open_passage(w, loosely):
    """A passage and one to six questions. Returns (messages, wanted words of the last answer or None when it is not stated)."""
    rng = w.rng
    passage = Passage(w, w.size(1, 7, 3))
    short = w.now_and_then(0.35)
    asked = []
    for statement, questions in passage.facts:
        if w.first_level:  # what the sentence begins with stands in the question
            begins = statement.lower().removeprefix('the ').split()[0]
            questions = [q for q in questions if begins in q[1].lower()]
        _, question, answer = rng.choice(questions)
        asked.append((sentence(question), answer if short else statement, answer))
    rng.shuffle(asked)
    asked = asked[:w.pick([1, 1, 2, 3, 4, 6], 3)]
    for i in range(len(asked)):
        if w.now_and_then(0.28):
            question = passage.unanswered()
            if question:
                asked[i] = (question, NOT_STATED, None)
    statements = [f[0] for f in passage.facts]
    layout = w.pick(['before', 'before', 'after', 'system', 'lines', 'system_lines'])
    text = '\n'.join(f'- {s}' for s in statements) if 'lines' in layout else ' '.join(statements)
    hint = w.template(SHORT, say.BRIEF) if short else ''
    messages = []
    if 'system' in layout:
        head = w.template(['Answer from this text.', 'Use only this text:', 'You answer from these notes.', 'Notes:', 'Here is what you know.', 'This is all you know:'], say.READ_SYSTEM)
        in_system = short and rng.random() < 0.5
        messages.append({'role': 'system', 'content': f'{head}\n{text}' if not in_system else f'{hint} {head}\n{text}'})
        hint = '' if in_system else hint
    for i, (question, answer, _) in enumerate(asked):
        ask = loosely(w, question) + (f' {hint}' if hint else '')
        if i == 0 and 'system' not in layout:
            head = w.template(['Read this:', 'Passage:', 'Text:', 'Notes:', 'Here is some text:', 'Facts:', ''], say.BEFORE_TEXT)
            block = f'{head}\n{text}'.strip()
            ask = f'{ask}\n\n{block}' if layout == 'after' else f'{block}\n\n{ask}'
        messages += [{'role': 'user', 'content': ask}, {'role': 'assistant', 'content': answer}]
    return messages, asked[-1][2]


def read_table(w, loosely):
    """A table and questions about its cells. Returns (messages, the cell or None)."""
    rng = w.rng
    columns = list(dict.fromkeys(w.split(COLUMNS) for _ in range(w.pick([1, 1, 2, 2, 3, 4]))))
    kind = rng.choice(['product', 'person', 'place', 'noun'])
    names = w.apart([w.split(NOUNS) if kind == 'noun' else w.value(kind) for _ in range(w.pick([2, 2, 3, 3, 4, 5, 6], 4))])
    cell = lambda: rng.choice([lambda: str(rng.randint(1, 999)), lambda: f'${rng.randint(1, 99)}', lambda: f'${rng.randint(1, 99)}.{rng.choice(["50", "90", "20", "99"])}', lambda: w.split(ADJECTIVES), w.invented, lambda: w.value('person')])
    makers = [cell() for _ in columns]
    rows = [[make() for make in makers] for _ in names]
    form = w.pick(['csv', 'bars', 'pairs', 'lines', 'keys'])
    if form == 'csv':
        text = '\n'.join([', '.join(['name', *columns])] + [', '.join([n, *r]) for n, r in zip(names, rows)])
    elif form == 'bars':
        text = '\n'.join([' | '.join(['name', *columns])] + [' | '.join([n, *r]) for n, r in zip(names, rows)])
    elif form == 'pairs':
        text = '\n'.join(f'{n}: ' + ', '.join(f'{c} {v}' for c, v in zip(columns, r)) for n, r in zip(names, rows))
    elif form == 'keys':
        text = '\n'.join('; '.join([f'name={n}', *(f'{c}={v}' for c, v in zip(columns, r))]) for n, r in zip(names, rows))
    else:
        text = '\n'.join(f'- {n} ({", ".join(f"{c}: {v}" for c, v in zip(columns, r))})' for n, r in zip(names, rows))
    the = 'the ' if kind in ('product', 'noun') else ''
    short = w.now_and_then(0.35)
    hint = w.template(SHORT, say.BRIEF) if short else ''
    messages, wanted = [], None
    if w.now_and_then(0.5):
        messages.append({'role': 'system', 'content': w.template(['Answer from this table.', 'Table:', 'Use this list to answer.', 'You know only this:'], say.READ_SYSTEM) + f'\n{text}'})
    for i in range(w.pick([1, 2, 3, 4, 6], 3)):
        r, c = rng.randrange(len(names)), rng.randrange(len(columns))
        name, column, wanted = names[r], columns[c], rows[r][c]
        if w.now_and_then(0.2):
            other = w.split(NOUNS) if kind == 'noun' else w.value(kind)
            missing = w.split(COLUMNS)
            if rng.random() < 0.5 and other not in names:
                name, wanted = other, None
            elif missing not in columns:
                column, wanted = missing, None
        ask = loosely(w, w.template([f'What is the {column} of {the}{name}?', f'{name}: {column}?', f'Give me the {column} of {the}{name}.', f'Which {column} does {the}{name} have?', f'Look up the {column} of {the}{name}.'], say.OPEN['cell']).format(column=column, name=f'{the}{name}'))
        ask += f' {hint}' if hint else ''
        answer = NOT_STATED if wanted is None else wanted if short else f'The {column} of {the}{name} is {wanted}.'
        if i == 0 and not messages:
            ask = f'{text}\n\n{ask}'
        messages += [{'role': 'user', 'content': ask}, {'role': 'assistant', 'content': answer}]
    return messages, wanted


def read_pairs(w):
    """Pairs and a few keys, nothing else: the bare act on which reading stands. The line is said again, or only its value where that is asked for.

    Returns (messages, the value or None)."""
    rng = w.rng
    short = w.now_and_then(0.35)
    hint = f' {w.template(SHORT, say.BRIEF)}' if short else ''
    kinds = [w.invented, lambda: w.value('person'), lambda: w.split(NOUNS), lambda: w.split(ADJECTIVES), lambda: w.value('product'), lambda: str(rng.randint(2, 999)), lambda: f'${rng.randint(1, 99)}', lambda: w.open(COLOURS)]
    of_key, of_value = rng.choice(kinds[:5]), rng.choice(kinds)
    pairs = {}
    for _ in range(w.size(2, 8)):
        pairs[of_key()] = of_value()
    pairs = {k: pairs[k] for k in w.apart(pairs)}
    sign = w.pick([': ', ' = ', ' -> ', ' - ', ', '])
    lines = [f'{k}{sign}{v}' for k, v in pairs.items()]
    text = w.pick(['\n', '\n', '\n- ', '; ']).join(lines)
    text = f'- {text}' if '\n- ' in text else text
    ask = w.template(['{k}?', '{k}', 'What goes with {k}?', 'Look up {k}.', 'Which one belongs to {k}?'], say.LOOK_UP) + hint
    keys = rng.sample(list(pairs), min(len(pairs), rng.randint(1, 6)))
    messages = [{'role': 'system', 'content': text}] if w.now_and_then(0.5) else []
    for i, key in enumerate(keys):
        if w.now_and_then(0.12):
            key = of_key()
        answer = NOT_STATED if key not in pairs else pairs[key] if short else f'{key}{sign}{pairs[key]}'
        question = ask.format(k=key)
        messages += [{'role': 'user', 'content': question if messages else f'{text}\n\n{question}'}, {'role': 'assistant', 'content': answer}]
    return messages, pairs.get(key)


def read_catalogue(w, loosely):
    """Products with several values each, in one of many layouts, and questions for one value of one product."""
    rng = w.rng
    series = [rng.choice([w.invented(), f'{w.split(ADJECTIVES).capitalize()} {w.split(NOUNS).capitalize()}', f'{w.invented()} {w.split(NOUNS).capitalize()}', w.open(COLOURS)]) for _ in range(4 if w.first_level else rng.choice([1, 2, 3, 4]))]
    kinds = [w.split(ITEMS) for _ in range(4 if w.first_level else rng.choice([1, 2, 3, 4]))]
    count = w.pick([2, 3, 3, 3, 4, 5], 2)
    names = w.apart([f'{rng.choice(series)} {rng.choice(kinds)}' for _ in range(4 * count if w.first_level else count)])[:count]
    money = w.pick(['{} pounds', '{} dollars', '${}', '{} euros', '{} coins', '€{}', '£{}'])
    left = w.pick(['{} in stock', '{} left', 'stock {}', '{} of them', '{} pieces'])
    none = w.pick([left.format(0), 'sold out', 'none left'])
    keys = rng.sample(['price', 'material', 'colour', 'place'] if w.first_level else ['price', 'stock', 'material', 'colour', 'place'], w.pick([1, 2, 2, 3, 3, 4], 3))
    values, shown = {}, {}
    for name in names:
        stock = rng.choice([0, rng.randint(1, 60), rng.randint(1, 60), rng.randint(1, 60)])
        mine = {'price': money.format(rng.randint(2, 200)), 'stock': str(stock), 'material': rng.choice([w.open(MATERIALS), w.open(MATERIALS), w.open(MATERIALS), w.split(NOUNS), w.invented().lower()]), 'colour': w.open(COLOURS), 'place': w.value('place')}
        values[name] = mine
        shown[name] = [(left.format(stock) if stock else none) if k == 'stock' else mine[k] for k in keys]
    form = w.pick(['{n}: {v}', '{n}: {v}.', '- {n}: {v}', '{n} ({v})', '{n}, {v}', '{n} - {v}'])
    lines = [form.format(n=n, v=', '.join(shown[n])) for n in names]
    text = (' ' if form.endswith('.') and rng.random() < 0.7 else '\n').join(lines)
    head = w.template(['You work in a shop.', 'You sell what stands here.', 'Answer from the catalogue.', 'Our products:', 'You know these products.'], [*say.SHOP, *say.READ_SYSTEM])
    messages = [{'role': 'system', 'content': f'You work at {w.invented()} {rng.choice(["Shop", "Store", "House", "Market"])}. {text}' if w.now_and_then(0.2) else f'{head}{w.pick([" ", chr(10)])}{text}'}]
    if w.now_and_then(0.2):
        messages += [{'role': 'user', 'content': rng.choice(['Hello!', 'Hi.', 'Good morning.'])}, {'role': 'assistant', 'content': 'Hello! How can I help you?'}]
    more = {'price': say.HOW_MUCH, 'stock': [x for x in say.IN_STOCK if 'sold out' not in x]}
    for _ in range(rng.choice([1, 2, 3, 4])):
        name, key = rng.choice(names), rng.choice(keys)
        of = next(x for x in ATTRIBUTES['product'] if x[0] == key)
        question = w.template(of[2], say.QUESTIONS['product', key] + [x.replace('{n}', '{s}') for x in more.get(key, [])]).format(s=name)
        v = values[name][key]
        answer = {'price': f'The {name} costs {v}.', 'stock': f'We have {v} of the {name}.' if v != '0' else f'The {name} is sold out.', 'material': f'The {name} is made of {v}.',
                  'colour': f'The {name} is {v}.', 'place': f'The {name} comes from {v}.'}[key]
        if w.now_and_then(0.12):
            name = f'{w.invented()} {rng.choice(kinds)}'
            question, answer = w.template(of[2], say.QUESTIONS['product', key]).format(s=name), f'Sorry, we do not have the {name}.'
        messages += [{'role': 'user', 'content': loosely(w, question)}, {'role': 'assistant', 'content': answer}]
    return messages


def find_sentences(text, w):
    """A few sentences of a real text, and the ones that hold a word asked for. Returns messages, or None where the text is not fit."""
    rng = w.rng
    sentences = [s.strip() for s in re.split(r'(?<=[.!?])\s+', ' '.join(text.split())) if 20 < len(s.strip()) < 140]
    if len(sentences) < 4:
        return None
    start, count = rng.randrange(len(sentences) - 2), rng.randint(2, 5)
    here, elsewhere = sentences[start:start + count], sentences[:start] + sentences[start + count:]
    words = [set(re.findall(r'[a-z]{4,}', s.lower())) for s in here]
    everywhere = set().union(*words)
    unique = [(word, i) for i, own in enumerate(words) for word in sorted(own) if sum(word in other for other in words) == 1 and not any(word in s.lower() for j, s in enumerate(here) if j != i)]
    if len(unique) < 3:
        return None
    asked = rng.sample(unique, min(len(unique), rng.choice([1, 2, 3, 4])))
    absent = sorted({x for s in elsewhere for x in re.findall(r'[a-z]{4,}', s.lower()) if not any(x in t.lower() for t in here)} - everywhere)
    passage = ' '.join(here)
    messages = []
    in_system = rng.random() < 0.3
    if in_system:
        messages.append({'role': 'system', 'content': w.template(['Answer from this text.', 'Use only this text:', 'You answer from these notes.', 'Here is what you know.', 'This is all you know:'], say.READ_SYSTEM) + '\n' + passage})
    for i, (word, at) in enumerate(asked):
        answer = here[at]
        if absent and rng.random() < 0.25:
            word, answer = rng.choice(absent), NOT_STATED
        ask = w.template([f'Which sentence has the word {word}?', f'What does the text say about "{word}"?', f'Find the sentence with {word}.', f'Quote the sentence that has the word "{word}".', f'Where does it say {word}?', f'Show me the sentence with the word {word}.'], say.WORD_IN_SENTENCE).format(q=rng.choice([word, f'"{word}"', f'the word {word}', f'the word "{word}"']))
        if i == 0 and not in_system:
            ask = f'{w.template(["Text:", "Passage:", "Read this:", "Story:", "Document:"], say.BEFORE_TEXT)}\n{passage}\n\n{ask}'
        messages += [{'role': 'user', 'content': ask}, {'role': 'assistant', 'content': answer}]
    return messages


def recall_ids(rng, columns, vocabulary):
    """A row of token ids drawn at random, and its mask: things stand once, and again, and only what can be known from the first time is an answer (2).

    Half are pairs whose keys come back in another order, half are pieces that come back whole. Nothing but the row itself helps, and almost
    every second token is learned from: a few million tokens of it make the circuit (find the same thing earlier, say what followed it) that
    reading stands on and that a small model finds late or never in text (Olsson et al. 2022, “induction heads”; Arora et al. 2023, “Zoology”)."""
    word = lambda: [rng.choice(vocabulary) for _ in range(rng.choice([1, 1, 2, 3]))]
    ids, mask = [], []

    def say(tokens, answer=1):
        ids.extend(tokens)
        mask.extend([answer] * len(tokens))

    while len(ids) < columns:
        if rng.random() < 0.5:
            between, after = word()[:1], word()[:1]
            pairs = {tuple(word()): word() for _ in range(rng.randint(2, 12))}
            for key, value in pairs.items():
                say([*key, *between, *value, *after])
            for key in rng.choices(list(pairs), k=2 * len(pairs)):
                say([*key, *between])
                say([*pairs[key], *after], 2)
        else:
            piece = [rng.choice(vocabulary) for _ in range(rng.randint(6, 40))]
            say(piece)
            for _ in range(rng.randint(0, 8)):
                say([rng.choice(vocabulary)])
            for _ in range(rng.choice([1, 2])):
                start = rng.randrange(len(piece) - 4)
                say(piece[start:start + 2])
                say(piece[start + 2:], 2)
                say([rng.choice(vocabulary)])
    return ids[:columns], mask[:columns]
