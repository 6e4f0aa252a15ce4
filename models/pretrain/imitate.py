"""Exercises whose answer can only come from the prompt: examples to imitate, quoted openings and endings, a persona, several subjects, lines that look alike, house rules.
The older skills live in curriculum.py, words in world.py, how often each is drawn in stream.py."""
import wordings as say
from curriculum import facts, known_fact, loosely, one
from reading import NOT_STATED, SHORT, plural
from world import ADJECTIVES, ATTRIBUTES, BAD, COLOURS, FOODS, GOOD, ITEMS, JOBS, KINDS, MATERIALS, NOUNS, VERBS, a

NO_LINE = 'No line says that.'


def phrase(w):
    """Words to be put at the start or the end of an answer, with their sign. Nearly all contain an invented word or a chance pair of words."""
    noun, adjective, name = w.split(NOUNS), w.split(ADJECTIVES), w.invented()
    text = w.template([f'{name}!', f'{name} {w.invented().lower()}.', f'By the {noun} of {name}!', f'{adjective.capitalize()} {noun}!', f'{name} says:', f'Dear {noun},', f'[{name.upper()}]', f'{name} and {w.invented()},', f'From the {noun}:',
                       f'Oh, {adjective} {noun}!', f'* {name} *', f'Well, {adjective} friend,', f'Note {w.rng.randint(1, 99)}:', f'Your {noun}, {name}.', f'{name}, {name}!', f'Long live the {noun}.', f'Here speaks {name}:', f'Good {noun} to you.', f'Thus spoke the {adjective} {noun}.'])
    return text if w.first_level or w.rng.random() < 0.8 else text.lower()


def labels(w, count):
    """`count` different labels of one style."""
    rng = w.rng
    style = w.pick(['word', 'capitals', 'letter', 'number', 'code', 'sign', 'noun', 'word', 'capitals'], 2)
    make = {'word': lambda: w.invented().lower(), 'capitals': lambda: w.invented().upper(), 'letter': lambda: rng.choice('ABCDEFGHKLMNPQRSTUVWXYZ'), 'number': lambda: str(rng.randint(0, 99)),
            'code': lambda: f'{rng.choice("BCDFGHKMPRTX")}{rng.randint(1, 9)}', 'sign': lambda: rng.choice(['[{}]', '<{}>', '#{}', '{}!', '_{}_']).format(w.invented().lower()), 'noun': lambda: w.split(NOUNS)}[style]
    made = []
    while len(made) < count:
        label = make()
        if label not in made:
            made.append(label)
    return made


def label_examples(w, count):
    """`count` + 1 pairs (text, label): the label goes with the kind of word, the mood of a sentence, or a word that comes back. Every label that the last pair needs is shown before it."""
    rng = w.rng
    task = w.pick(['again', 'kind', 'mood', 'kind', 'topic'], 2)
    classes = min(count, rng.choice([2, 2, 3]))
    names = labels(w, classes)
    if task == 'kind':
        kinds = rng.sample(['animal', 'fruit', 'colour', 'tool', 'vehicle', 'vegetable', 'drink', 'day', 'job', 'month'], classes)
        texts = [lambda k=k: w.split(KINDS[k]) for k in kinds]
    elif task == 'mood':
        classes, names = 2, names[:2] if len(names) > 1 else labels(w, 2)
        def review(words):
            thing = rng.choice(['The ' + w.split(ITEMS), 'The ' + rng.choice(['food', 'hotel', 'film', 'book', 'room', 'shop', 'service', 'trip'])])
            first, second = w.split(words), w.split(words)
            return rng.choice([f'{thing} was {first}.', f'{thing} is {first} and {second}.', f'I found {thing.lower()} {first}.', f'How {first} {thing.lower()} was!', f'{thing}: {first}.'])
        texts = [lambda: review(GOOD), lambda: review(BAD)]
    elif task == 'topic':
        things = list(dict.fromkeys(w.split(NOUNS) for _ in range(9)))[:classes]
        def about(thing):
            base, past = w.split(VERBS)
            return rng.choice([f'{w.value("person")} {past} the {thing}.', f'The {thing} is {w.split(ADJECTIVES)}.', f'Where is the {thing}?', f'Please {base} the {thing}.', f'I like this {thing}.', f'A {w.split(ADJECTIVES)} {thing} in {w.value("place")}.'])
        texts = [lambda t=t: about(t) for t in things]
    else:
        things = [[w.invented() if rng.random() < 0.3 else w.split(ITEMS + NOUNS) for _ in range(1 if w.first_level else 2)] for _ in range(classes)]
        texts = [lambda t=t: rng.choice(t) for t in things]
    order = list(range(len(texts)))[:count]
    order += [rng.choice(order) for _ in range(count - len(order))]
    rng.shuffle(order)
    order.append(rng.choice(order))
    return [(texts[i](), names[i]) for i in order]


def format_examples(w, count):
    """`count` + 1 pairs in which the output is the input in an invented form."""
    rng = w.rng
    first, second, sign = w.invented(), w.invented().lower(), rng.choice(['-', '/', '+', '::', '=', '~', '|', '->', '..'])
    thing = w.pick([lambda: w.split(NOUNS), lambda: w.value('person'), lambda: f'{w.split(ADJECTIVES)} {w.split(NOUNS)}', lambda: str(rng.randint(2, 999)), w.invented, lambda: w.split(ITEMS)], 2)
    wrap = w.pick(['{f} {x}', '{x} {s}', '{f}: {x}', '<{x}>', '{x}{g}{x}', '({x}) {s}', '{f} {g} {x}', '{x}, {s} {x}', '"{x}" {f}', '{g}{g} {x} {g}{g}', 'the {x} of {f}', '{s}({x})', '{{"{s}": "{x}"}}', '{x} {g} {f}', '{f} likes {x}.', '[{s}] {x}'], 3)
    if w.now_and_then(0.45):  # several fields, in another order
        makers = rng.sample([lambda: w.value('person'), lambda: w.value('place'), lambda: w.split(JOBS), lambda: str(rng.randint(2, 90)), lambda: w.open(COLOURS), lambda: w.split(ITEMS), lambda: w.split(FOODS)], rng.choice([2, 2, 3]))
        order = rng.sample(range(len(makers)), rng.choice([1, len(makers), len(makers)]) if len(makers) > 1 else 1)
        between, joint = rng.choice([', ', ' ', '; ', ' / ', ' - ']), rng.choice([', ', ' ', f' {sign} ', f' {second} ', ': '])
        fields = [[make() for make in makers] for _ in range(count + 1)]
        return [(between.join(f), (joint.join(f[i] for i in order) if len(order) > 1 else wrap.format(x=f[order[0]], f=first, s=second, g=sign))) for f in fields]
    things = list(dict.fromkeys(thing() for _ in range(8 * count + 8)))[:count + 1]  # fewer than that where a list has few words of this side
    return [(x, wrap.format(x=x, f=first, s=second, g=sign)) for x in things]


def language_examples(w, count):
    """`count` + 1 pairs of words and the words of an invented language; the last is put together from ones that were shown."""
    rng = w.rng
    order = w.rng.random() < 0.5
    adjectives, nouns = ([w.split(x) for _ in range(n)] for x, n in ((ADJECTIVES + COLOURS, 3), (NOUNS + ITEMS, 3)))
    adjectives, nouns = list(dict.fromkeys(adjectives)), [n for n in dict.fromkeys(nouns) if n not in adjectives]
    new = {x: w.invented().lower() for x in adjectives + nouns}
    if w.first_level or rng.random() < 0.4 or len(nouns) < 2 or len(adjectives) < 2:  # single words, one of which comes back
        words = list(new)[:max(2, count)]
        pairs = [(x, new[x]) for x in words][:count]
        return pairs + [rng.choice(pairs)]
    together = lambda x, n: (f'{x} {n}', f'{new[n]} {new[x]}' if order else f'{new[x]} {new[n]}')
    shown = [together(adjectives[0], nouns[0]), together(adjectives[1], nouns[1])]
    asked = together(*rng.choice([(adjectives[0], nouns[1]), (adjectives[1], nouns[0])])) if count > 1 else shown[0]
    while len(shown) < count:
        shown.append(together(rng.choice(adjectives), rng.choice(nouns)))
    shown = [s for s in shown[:count] if s != asked] if count > 1 else shown[:1]
    rng.shuffle(shown)
    return shown + [asked]


def opening_examples(w, count):
    """`count` + 1 questions whose answers all have the same words before or after them."""
    begin, end = w.pick([(True, False), (False, True), (True, True), (True, False)])
    before, after = phrase(w) + ' ' if begin else '', ' ' + phrase(w) if end else ''
    return [(question, before + sentence + after) for question, sentence, _ in (known_fact(w) for _ in range(count + 1))]


def few_shot(w):
    """Two to six examples (on the first level two to four) and one more to be done like them: by labels, forms, an invented language or openings."""
    rng = w.rng
    make = w.pick([label_examples] * 4 + [format_examples] * 4 + [opening_examples] * 2 + [language_examples] * 2, 12)
    pairs = make(w, w.size(2, 6, 4))
    if make is label_examples or make is format_examples or make is language_examples:
        ask = w.template(['Follow the examples.', 'Do the same.', 'Do it like in the examples.', 'Look at the examples and go on.', 'Here is how it is done.', 'Answer in the same way.', 'Continue.'], say.LIKE_EXAMPLES) if w.first_level or rng.random() < 0.7 else ''
    else:
        ask = ''
    *shown, (x, y) = pairs
    layout = w.pick(['fields', 'arrows', 'turns', 'fields', 'turns', 'system'], 3)
    if layout == 'turns':
        messages, seen = [{'role': 'system', 'content': ask}] if ask and rng.random() < 0.5 else [], set()
        for i, (text, answer) in enumerate([*shown, (x, y)]):
            known = answer in seen if make is label_examples else i > 0 and (make is not language_examples or (text, answer) in shown[:i] or i == len(shown))
            seen.add(answer)
            messages.append({'role': 'user', 'content': f'{ask}\n{text}' if i == 0 and ask and not messages else text})
            messages.append({'role': 'assistant', 'content': answer} if known else {'role': 'assistant', 'content': answer, 'shown': True})
        return messages
    if layout == 'arrows':
        sign = w.pick([' -> ', ': ', ' = ', ' => ', ' | ', ' >> ', ' - '], 3)
        lines, last = [f'{text}{sign}{answer}' for text, answer in shown], f'{x}{sign.rstrip()}'
        text = '\n'.join(lines)
    else:
        one_name = w.template(['Input', 'In', 'Text', 'Question', 'Q', 'User', 'x', 'Word', 'Example', 'Given'], [])
        other = {'Input': 'Output', 'In': 'Out', 'Question': 'Answer', 'Q': 'A', 'User': 'You', 'x': 'y', 'Given': 'Wanted'}.get(one_name, 'Label' if make is label_examples else 'Result')
        if w.now_and_then(0.3):
            one_name, other = w.invented(), w.invented()
        gap = rng.choice(['\n', '\n\n'])
        text = gap.join(f'{one_name}: {t}\n{other}: {answer}' for t, answer in shown)
        last = f'{one_name}: {x}\n{other}:' if layout == 'fields' or rng.random() < 0.5 else x
        text = text + ('\n' if gap == '\n\n' else '')
    if layout == 'system':
        return [{'role': 'system', 'content': f'{ask}\n{text}'.strip()}, *one(last, y)]
    return one('\n'.join(part for part in (ask, text, last) if part), y)


def some_turns(w, count):
    """(system lines or '', [(question, sentence, value)]): facts told in the system prompt, or facts about the world."""
    if w.rng.random() < 0.4:
        _, found, _ = facts(w, w.size(1, 4), ['product', 'product', 'event', 'person'])
        return ' '.join(f[2] for f in found), [(f[3], f[2], f[4]) for f in found][:count]
    return '', [known_fact(w) for _ in range(count)]


def quoted(w):
    """The prompt quotes words that every answer has to begin or end with."""
    rng = w.rng
    where = w.pick(['begin', 'end', 'begin', 'both'], 2)
    start, stop = phrase(w), phrase(w)
    start, stop = start[0].upper() + start[1:], stop
    begin = w.template(['Begin every answer with "{p}"', 'Start each reply with "{p}"', 'Begin each answer with the words "{p}"', 'Every answer starts with "{p}"', 'Say "{p}" first, then answer.', 'Put "{p}" before each answer.', 'Your first words are always "{p}"', 'Open your answers with "{p}"'], say.BEGIN_WITH).format(p=start)
    end = w.template(['End every answer with "{p}"', 'Finish each reply with "{p}"', 'End each answer with the words "{p}"', 'Every answer ends with "{p}"', 'Answer, then say "{p}"', 'Put "{p}" after each answer.', 'Your last words are always "{p}"', 'Close your answers with "{p}"'], say.END_WITH).format(p=stop)
    rule = {'begin': begin, 'end': end, 'both': f'{begin} {end}'}[where]
    told, turns = some_turns(w, w.size(1, 4, 2))
    dress = lambda s: f'{start} {s}' if where == 'begin' else f'{s} {stop}' if where == 'end' else f'{start} {s} {stop}'
    system = f'{told} {rule}' if told and rng.random() < 0.4 else f'{rule} {told}'
    system = w.pick(['', '', 'You are a helpful assistant. ', f'You are {w.invented()}. ', 'You answer questions. ']) + system.strip()
    if not told and w.now_and_then(0.3):  # asked for in the user's turn, for this answer alone
        question, sentence, _ = turns[0]
        question = loosely(w, question)
        return one(f'{question} {rule}' if rng.random() < 0.5 else f'{rule}{" " if rule[-1] in ".:!" else chr(10)}{question}', dress(sentence))
    messages = [{'role': 'system', 'content': system}]
    for question, sentence, _ in turns:
        messages += one(loosely(w, question), dress(sentence))
    if w.now_and_then(0.2):
        messages[1:1] = one(rng.choice(['Hello!', 'Hi.', 'Good morning.']), dress('Hello! How can I help you?'))
    return messages


def persona(w):
    """Somebody described in the system prompt, who answers as such over up to five turns, often with words of his own."""
    rng = w.rng
    name, job, town, food, colour, friend, age = w.value('person'), w.split(JOBS), w.value('place'), w.split(FOODS), w.open(COLOURS), w.value('person'), str(rng.randint(8, 90))
    parts = [
        (w.template([f'You are {name}.', f'Your name is {name}.', f'You play {name}.', f'Speak as {name}.', f'You answer as {name}.'], []), w.template(['Who are you?', 'What is your name?', 'What are you called?', 'Tell me your name.', 'How may I call you?'], say.PERSONA['name']), f'I am {name}.'),
        (w.template([f'You are {a(job)}.', f'You work as {a(job)}.', f'Your job is {job}.', f'You earn your bread as {a(job)}.'], []), w.template(['What is your job?', 'What do you do?', 'What work do you do?', 'How do you earn money?'], say.PERSONA['job']), f'I am {a(job)}.'),
        (w.template([f'You live in {town}.', f'Your home is in {town}.', f'You come from {town}.', f'You have a house in {town}.'], []), w.template(['Where do you live?', 'Where is your home?', 'Which town do you live in?', 'In which place do you live?'], say.PERSONA['town']), f'I live in {town}.'),
        (w.template([f'You like {food}.', f'You love {food}.', f'Your favourite food is {food}.', f'Nothing is better to you than {food}.'], []), w.template(['What do you like to eat?', 'What is your favourite food?', 'Which food do you like?', 'What food makes you happy?'], say.PERSONA['food']), f'I like {food}.'),
        (w.template([f'Your favourite colour is {colour}.', f'You like the colour {colour}.', f'The colour you like is {colour}.'], []), w.template(['What is your favourite colour?', 'Which colour do you like?', 'What colour pleases you?'], say.PERSONA['colour']), f'My favourite colour is {colour}.'),
        (w.template([f'Your friend is {friend}.', f'You have a friend called {friend}.', f'{friend} is your best friend.'], []), w.template(['Who is your friend?', 'What is your friend called?', 'Do you have a friend?'], say.PERSONA['friend']), f'My friend is {friend}.'),
        (w.template([f'You are {age} years old.', f'Your age is {age}.', f'You have lived {age} years.'], []), w.template(['How old are you?', 'What is your age?', 'How many years have you lived?'], say.PERSONA['age']), f'I am {age} years old.')]
    chosen = [parts[0], *rng.sample(parts[1:], w.size(1, 5, 3))]
    word, place = phrase(w), w.pick([None, 'begin', 'end', 'begin', 'end'], 3)
    rule = {'begin': w.template([f'You always say "{word}" first.', f'You begin with "{word}"', f'Your answers start with "{word}"', f'Before all else you say "{word}"'], []), 'end': w.template([f'You always say "{word}" at the end.', f'You end with "{word}"', f'Your answers end with "{word}"', f'After all else you say "{word}"'], [])}.get(place)
    dress = {'begin': lambda s: f'{word[0].upper() + word[1:]} {s}', 'end': lambda s: f'{s} {word}'}.get(place, lambda s: s)
    if rule and place == 'begin':
        rule = rule.replace(word, word[0].upper() + word[1:])
    messages = [{'role': 'system', 'content': ' '.join([c[0] for c in chosen] + ([rule] if rule else []))}]
    turns = [(question, answer) for _, question, answer in chosen] + [known_fact(w)[:2] for _ in range(w.size(0, 2))]
    rng.shuffle(turns)
    for question, answer in turns[:5]:
        messages += one(loosely(w, question), dress(answer))
    return messages


def several(w):
    """A passage about several subjects of one kind with invented names, told mixed up; 15 % of the questions ask what is said of another subject or of none. (messages, value or None)"""
    rng = w.rng
    kind = rng.choice(list(ATTRIBUTES))
    subjects = list(dict.fromkeys(f'{w.invented()} {w.split(ITEMS)}' if kind == 'product' else w.invented() + (f' {rng.choice(["fair", "feast", "race", "match"])}' if kind == 'event' else '') for _ in range(w.size(2, 4))))
    attributes = rng.sample(ATTRIBUTES[kind], w.size(1, min(4, len(ATTRIBUTES[kind])), 2))
    told, missing, used = [], [], set(subjects)
    for s in subjects:
        for key, statements, questions, value_kind in attributes:
            question = w.template(questions, say.QUESTIONS[kind, key]).format(s=s)
            if len(told) > 1 and rng.random() < 0.15:
                missing.append((question, NOT_STATED, None))
                continue
            v = next((x for x in (w.value(value_kind) for _ in range(20)) if x not in used), None) or w.invented()
            used.add(v)
            told.append((w.template(statements, say.STATEMENTS[kind, key]).format(s=s, v=v), question, v))
    short = w.first_level or rng.random() < 0.45
    hint = ' ' + w.template(SHORT, say.BRIEF) if short else ''
    sentences = [t[0] for t in told]
    if not w.first_level:
        rng.shuffle(sentences)
    asked = [(q, v if short else statement, v) for statement, q, v in told]
    rng.shuffle(asked)
    count = w.pick([1, 2, 3, 4, 5], 3)
    asked = [rng.choice(missing) if missing and rng.random() < 0.15 else x for x in asked[:count]]
    text = w.pick([' ', '\n', '\n- ']).join(sentences)
    text = f'- {text}' if '\n- ' in text else text
    messages = []
    if w.now_and_then(0.35):
        messages.append({'role': 'system', 'content': w.template(['Answer from this text.', 'Use only this text:', 'You answer from these notes.', 'Here is what you know.', 'This is all you know:'], say.READ_SYSTEM) + f'\n{text}'})
    for i, (question, answer, _) in enumerate(asked):
        question = loosely(w, question) + hint
        if i == 0 and not messages:
            question = f'{w.template(["Read this:", "Passage:", "Text:", "Notes:", "Here is a text:"], say.BEFORE_TEXT)}\n{text}\n\n{question}'.lstrip()
        messages += one(question, answer)
    return messages, asked[-1][2]


def look_alike(w, count=None):
    """One to five lines (or `count`) about things of one series; the answer names the thing first and, where that is asked for, the line it comes from. (messages, value or None)"""
    rng = w.rng
    count = count or w.pick([1, 2, 3, 4, 5], 3)
    series, kinds = [w.invented(), w.invented(), w.split(ADJECTIVES).capitalize()], [w.split(ITEMS) for _ in range(3)]
    if w.first_level:
        names = w.apart([f'{w.invented()} {w.split(ITEMS)}' for _ in range(12)])[:count]
    else:
        names = list(dict.fromkeys(f'{rng.choice(series)} {rng.choice(kinds)}' for _ in range(30)))
        rng.shuffle(names)
        names = names[:count]
    money = w.pick(['{} pounds', '${}', '{} euros', '{} dollars', '{} coins'])
    keys = rng.sample(['price', 'material', 'colour', 'place', 'stock'][:4 if w.first_level else 5], w.pick([1, 2, 2, 3, 3], 3))
    values = {n: {'price': money.format(rng.randint(2, 200)), 'material': rng.choice([w.open(MATERIALS), w.split(NOUNS)]), 'colour': w.open(COLOURS), 'place': w.value('place'), 'stock': str(rng.randint(1, 99))} for n in names}
    show = lambda n: [f'{values[n][k]} in stock' if k == 'stock' else values[n][k] for k in keys]
    form = w.pick(['{n}: {v}', '{n} - {v}', '{n} ({v})', '{n}, {v}', '{n}: {v}.'])
    mark = w.pick(['{i}. ', '{i}) ', 'Line {i}: ', '[{i}] ', '- ', ''], 1)
    lines = [mark.format(i=i + 1) + form.format(n=n, v=', '.join(show(n))) for i, n in enumerate(names)]
    cite = '{' in mark and (w.first_level and rng.random() < 0.5 or w.now_and_then(0.6))
    head = w.template(['Answer from these lines.', 'Use only these lines:', 'Our list:', 'You answer from this list.', 'These lines are all you know:', 'You know what these lines say.'], [*say.READ_SYSTEM, *say.SHOP])
    if cite:
        head += ' ' + w.template(['Say which line.', 'Name the line you used.', 'Tell the line it comes from.', 'Give the number of the line, too.', 'Say the line of the answer.'], say.WHICH_LINE)
    absent_says = NO_LINE if cite or w.rng.random() < 0.5 else NOT_STATED
    if absent_says == NO_LINE:
        head += ' ' + w.template([f'If no line says it, say "{NO_LINE}"', f'Say "{NO_LINE}" when it is not there.', f'Where nothing is said: "{NO_LINE}"', f'Without a line the answer is "{NO_LINE}"'], say.NO_LINE).replace('{x}', NO_LINE)
    messages, wanted, text = [], None, '\n'.join(lines)
    in_system = w.first_level or rng.random() < 0.7
    if in_system:
        messages.append({'role': 'system', 'content': f'{head}\n{text}'})
    for i in range(w.pick([1, 2, 3, 4], 3)):
        name, key = rng.choice(names), rng.choice(keys)
        wanted = values[name][key]
        if rng.random() < 0.15:
            others = [k for k in ('price', 'material', 'colour', 'place', 'stock') if k not in keys]
            if rng.random() < 0.5 and others:
                key, wanted = rng.choice(others), None
            else:
                other = f'{rng.choice(series)} {rng.choice(kinds)}' if not w.first_level else f'{w.invented()} {w.split(ITEMS)}'
                if other not in names:
                    name, wanted = other, None
        of = next(x for x in ATTRIBUTES['product'] if x[0] == key)
        question = loosely(w, w.template(of[2], say.QUESTIONS['product', key]).format(s=name))
        answer = absent_says
        if wanted is not None:
            answer = {'price': f'The {name} costs {wanted}.', 'material': f'The {name} is made of {wanted}.', 'colour': f'The {name} is {wanted}.', 'place': f'The {name} comes from {wanted}.', 'stock': f'Of the {name} there are {wanted} left.'}[key]
            answer += f' (line {names.index(name) + 1})' if cite else ''
        messages += one(question if messages else f'{head}\n{text}\n\n{question}', answer)
    return messages, wanted


def house_rules(w):
    """One to three rules of the house in the system prompt, and turns of which some meet a rule."""
    rng = w.rng
    rules, met, dress, called = [], [], lambda s: s, False
    for _ in range(w.size(1, 3, 2)):
        kind = w.pick(['say', 'say', 'call', 'not'], 2)
        topic, words = rng.choice([lambda: f'the {w.split(NOUNS)}', lambda: plural(w.split(NOUNS)), lambda: w.split(say.TOPICS), w.invented])(), phrase(w)
        words = words[0].upper() + words[1:]
        if kind == 'say':
            rules.append(w.template(say.HOUSE_RULES, []).format(c=topic, p=words))
            answer = words
        elif kind == 'not':
            rules.append(w.template(['Do not speak about {c}.', 'Never talk about {c}.', 'Say nothing about {c}.', '{c}: no word about it.', 'You may not discuss {c}.'], say.NOT_ABOUT).format(c=topic))
            rules[-1] = rules[-1][0].upper() + rules[-1][1:]
            answer = f'I may not speak about {topic}.'
        elif called:
            continue
        else:
            name, called = w.split(NOUNS), True
            rules.append(w.template(['Call every user "{n}".', 'Always call the user "{n}".', 'You call people "{n}".', 'Users are called "{n}" here.'], say.CALL_THEM).format(n=name))
            dress = lambda s, n=name: f'{s[:-1]}, {n}{s[-1]}' if s[-1] in '.!?' else f'{s}, {n}'
            continue
        met.append((w.template(['What about {c}?', 'Tell me about {c}.', 'I have a question about {c}.', 'Can we talk about {c}?', 'What do you say about {c}?', 'May I ask about {c}?'], say.ABOUT).format(c=topic), answer, True))
    told, turns = some_turns(w, w.size(1, 3, 1))
    asked = met + [(q, s, False) for q, s, _ in turns]
    rng.shuffle(asked)
    head = w.pick(['', 'Rules of the house:\n- ', 'You are a helpful assistant. ', 'You work for {x}. ', 'House rules: '], 1).format(x=w.invented())
    text = head + ('\n- ' if head.endswith('- ') else ' ').join(rules) + (f'\n{told}' if told else '')
    messages = [{'role': 'system', 'content': text}]
    for question, answer, is_rule in asked[:4]:
        messages += one(loosely(w, question), answer if is_rule else dress(answer))
    return messages
