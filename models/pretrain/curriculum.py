"""The curriculum: exercises in the chat format, made from world.py by a seed. Our own text only.
Words and wordings live in world.py, reading with an open vocabulary in reading.py, exercises in imitating in imitate.py, how often each is drawn in stream.py."""
import json

from reading import NOT_STATED, SHORT, Passage, open_passage, read_catalogue, read_pairs, read_table
import wordings as say
from world import (ADJECTIVES, ANIMALS, ATTRIBUTES, BAD, COLOURS, DAYS, GOOD, ITEMS, KINDS, MONTHS, NOUNS, NUMBER_WORDS, OPPOSITES, PEOPLE, SIZES, THINGS, USES, VERBS, a, reserved)

SPELLED = sorted({x for x in ITEMS + KINDS['animal'] + KINDS['fruit'] + NOUNS + ADJECTIVES + [base for base, _ in VERBS] if len(x) < 8})


def facts(w, count, kinds=None):
    """`count` facts about a few subjects, each (subject, key, statement, question, value); no question has two answers."""
    rng = w.rng
    kind = rng.choice(kinds or list(ATTRIBUTES))
    subjects = []
    while len(subjects) < max(1, min(count, w.pick([1, 2, 2, 3, 4]))):
        s = w.value(kind)
        if s not in subjects:
            subjects.append(s)
    pool = [(s, attribute) for s in subjects for attribute in ATTRIBUTES[kind]]
    rng.shuffle(pool)
    found, used = [], set()
    for s, (key, statements, questions, value_kind) in pool[:count]:
        v = w.value(value_kind)
        while v in used or v == s:
            v = w.value(value_kind)
        used.add(v)
        found.append((s, key, w.template(statements, say.STATEMENTS[kind, key]).format(s=s, v=v), w.template(questions, say.QUESTIONS[kind, key]).format(s=s), v))
    absent = [(s, w.template(attribute[2], say.QUESTIONS[kind, attribute[0]]).format(s=s)) for s, attribute in pool[count:]]
    stranger = w.value(kind)
    if stranger not in subjects and not w.first_level:
        attribute = w.rng.choice(ATTRIBUTES[kind])
        absent.append((stranger, w.template(attribute[2], say.QUESTIONS[kind, attribute[0]]).format(s=stranger)))
    return kind, found, absent


def passage(w):
    """(messages, words that the last answer must hold, or None when the passage does not say it)."""
    rng = w.rng
    kind, found, absent = facts(w, w.size(2, 6))
    sentences = [f[2] for f in found]
    rng.shuffle(sentences)
    layout = w.pick(['prose', 'list', 'system', 'system_list'], 2)
    listed = '\n'.join('- ' + s for s in sentences)
    prose = ' '.join(sentences)
    short = w.first_level or w.now_and_then(0.4)
    hint = w.template(SHORT, say.BRIEF) if short else ''
    system = None
    if layout == 'prose':
        passage = f'{w.template(["Read this:", "Passage:", "Text:", "Read the text.", "Story:", "Text:", "Here is a text:"], say.BEFORE_TEXT)}\n{prose}\n\n'.lstrip()
    elif layout == 'list':
        passage = f'{w.template(["Notes:", "Facts:", "Context:", "Information:", "Known facts:", "Use these facts:", "Data:", "What we know:"], say.BEFORE_LINES)}\n{listed}\n\n'.lstrip()
    else:
        passage = ''
        system = w.template(['Answer from these facts.', 'You answer questions. Use only these notes.', 'Use the context to answer.', 'Answer the question with this text.', 'You are a helpful assistant. Use this information:', 'Context:', 'You help customers. This is what you know:', 'Reply using the facts below.'], say.READ_SYSTEM)
        system += '\n' + (listed if layout == 'system_list' else prose)
    asked = [(q, v if short else statement, v) for _, _, statement, q, v in found] + [(q, NOT_STATED, None) for _, q in absent[:3] if rng.random() < 0.6]
    rng.shuffle(asked)
    asked = asked[:w.pick([1, 1, 2, 3, 4, 6], 3)]
    messages = [{'role': 'system', 'content': system}] if system else []
    for i, (question, answer, _) in enumerate(asked):
        label = w.pick(['Question: ', '', '']) if passage else ''
        content = (passage if i == 0 else '') + label + loosely(w, question) + (f' {hint}' if hint else '')
        messages += [{'role': 'user', 'content': content}, {'role': 'assistant', 'content': answer}]
    return messages, asked[-1][2]


def answer_from_passage(w):
    return passage(w)[0]


def open_reading(w):
    return open_passage(w, loosely)[0]


def table_reading(w):
    return read_table(w, loosely)[0]


def look_up(w):
    return read_pairs(w)[0]


def compact(record):
    return json.dumps(record, ensure_ascii=False)


def to_json(w):
    """A sentence, the keys asked for, the object. Keys that the sentence does not fill are null."""
    rng = w.rng
    kind, found, _ = facts(w, w.size(1, 4))
    s = found[0][0]
    found = [f for f in found if f[0] == s]
    name = {'person': 'name', 'product': 'item', 'town': 'town', 'event': 'event', 'pet': 'name'}[kind]
    record = {name: s, **{f[1]: int(f[4]) if f[4].isdigit() else f[4] for f in found}}
    text = ' '.join(f[2] for f in found)
    keys = list(record)
    if w.now_and_then(0.3):
        extra = rng.choice([k for k in ('place', 'age', 'price', 'day', 'colour', 'phone', 'date', 'size') if k not in keys])
        keys.insert(rng.randint(1, len(keys)), extra)
    if w.now_and_then(0.3):
        rng.shuffle(keys)
    if w.now_and_then(0.35):  # other names for the same slots, so that the key is copied from the request
        renamed = {k: rng.choice([k, k.upper(), w.invented().lower(), f'the_{k}']) for k in keys}
    else:
        renamed = {k: k for k in keys}
    answer = compact({renamed[k]: record.get(k) for k in keys})
    wanted = ', '.join(renamed[k] for k in keys)
    form = w.template([
        'Turn this into JSON with the keys {k}: {t}', 'Write JSON with {k}.\n{t}', 'Extract {k} as JSON: {t}', 'Convert to JSON ({k}): {t}', 'JSON with {k} for this sentence: {t}', 'What are {k}? Answer in JSON. {t}', '{t} -> JSON: {k}', '{t}\nMake a JSON object with the keys {k}.',
        'Text: {t}\nKeys: {k}\nJSON:', 'Find {k} in this text and answer as JSON: {t}', 'Give me a JSON object ({k}) for this text: {t}'], say.AS_JSON)
    if rng.random() < 0.35:
        return [{'role': 'system', 'content': w.template(['Answer with JSON. Keys: {k}.', 'You turn text into JSON with the keys {k}.', 'Extract {k} from the message. Answer in JSON.', 'Return a JSON object with {k}.', 'JSON only: {k}', 'Output only JSON with {k}.'], say.JSON_SYSTEM).format(k=wanted)},
                {'role': 'user', 'content': text}, {'role': 'assistant', 'content': answer}]
    return one(form.format(k=wanted, t=text), answer)


def intent_json(w):
    """A request to a helper, the intent and its slots."""
    rng = w.rng
    person, day, hour, item, place, count = w.value('person'), w.open(DAYS), w.value('hour'), w.split(ITEMS), w.value('place'), rng.randint(2, 12)
    intent, forms, slots = rng.choice([
        ('call', ['Call {person}.', 'Please phone {person} on {day}.', 'Ring {person} at {hour}, please.'], ('person', 'day', 'hour')),
        ('buy', ['I want to buy {count} of the {item}.', 'Get me {count} {item}s from {place}.', 'Order {count} of the {item} for {person}.'], ('count', 'item', 'place', 'person')),
        ('travel', ['I need to go to {place} on {day}.', 'Take me to {place} at {hour}.', 'Bring {person} to {place} on {day}.'], ('place', 'day', 'hour', 'person')),
        ('remind', ['Remind me about the {item} on {day}.', 'Do not let me forget the {item} at {hour}.', 'Remember the {item} for {person}.'], ('item', 'day', 'hour', 'person'))])
    form = w.template(forms, say.REQUESTS[intent])
    text = form.format(person=person, day=day, hour=hour, item=item, place=place, count=count)
    values = dict(person=person, day=day, hour=hour, item=item, place=place, count=count)
    record = {'intent': intent, **{k: values[k] for k in slots if '{' + k + '}' in form}}
    ask = w.template(['What does the user want? Answer as JSON.', 'Give the intent as JSON.', 'Find the intent and its slots. Answer in JSON.', 'Write the request as JSON with intent and slots.', 'Intent as JSON, please.', 'Turn the request into JSON with the intent.'], say.INTENT)
    if rng.random() < 0.5:
        return [{'role': 'system', 'content': ask}, {'role': 'user', 'content': text}, {'role': 'assistant', 'content': compact(record)}]
    return one(f'{ask}\n{text}', compact(record))


def label(w):
    rng = w.rng
    choice = rng.randrange(3)
    if choice == 0:
        good = rng.random() < 0.5
        words = [w.split(GOOD if good else BAD) for _ in range(2)]
        thing = rng.choice(['The ' + w.split(ITEMS), 'The food', 'The ' + rng.choice(['hotel', 'film', 'book', 'room', 'shop', 'service', 'trip', 'soup'])])
        text = w.template([f'{thing} was {words[0]}.', f'{thing} is {words[0]} and {words[1]}.', f'I think {thing.lower()} is {words[0]}!',
                           f'What {a(words[0])} {thing[4:]}! I {"love" if good else "hate"} it.', f'{thing} was so {words[0]} that I will {"come back" if good else "never come back"}.',
                           f'My friend found {thing.lower()} {words[0]}, and so did I.'], say.PRAISE)
        text = text.replace('{t}', thing if text.startswith('{t}') else thing.lower()).replace('{w}', words[0]).replace('{o}', words[1])
        text = text[0].upper() + text[1:]
        names = ('positive', 'negative')
        if w.now_and_then(0.3):  # any two words can be the labels
            names = rng.choice([('good', 'bad'), ('happy', 'sad'), ('yes', 'no'), ('plus', 'minus'), ('up', 'down')])
            if not w.held_out:
                names = rng.choice([names, names, ('praise', 'complaint'), ('glad', 'angry'), ('like', 'dislike'), ('1', '0'), ('A', 'B'), (w.invented().lower(), w.invented().lower())])
            form = 'Label this as {p} if it is good or {n} if it is bad: '
            ask = (form if w.held_out else w.template([form], say.NAMED)).format(p=names[0], n=names[1])
        else:
            ask = w.template(['Is this positive or negative? ', 'Label the text as positive or negative: ', 'Positive or negative? ', 'Tell me if this is positive or negative: ', 'Classify as positive or negative: ', 'What is the mood of this text, positive or negative? ', 'Sentiment (positive or negative): ', 'Say positive or negative. ', 'Would you call this positive or negative? '], say.MOOD)
            if not w.held_out and w.now_and_then(0.2):
                names = rng.choice([('good', 'bad'), ('happy', 'unhappy'), ('Positive', 'Negative'), ('POSITIVE', 'NEGATIVE'), ('pleased', 'upset'), ('for', 'against')])
                ask = w.template(['Is this {p} or {n}? '], say.MOOD)
            ask = ask.format(p=names[0], n=names[1])
        answer = names[0] if good else names[1]
    elif choice == 1:
        kinds = rng.sample(['animal', 'fruit', 'colour', 'tool', 'vehicle', 'vegetable', 'drink', 'day', 'job', 'month'], w.pick([2, 3]))
        answer = rng.choice(kinds)
        text = w.split(KINDS[answer])
        ask = w.template(['Which kind is it: {k}? ', 'Choose one of {k}: ', 'Is this {k}? ', 'Put this in one of the groups {k}: ', 'Classify ({k}): ', 'Label the word as {k}: ', 'Pick the right group ({k}) for this word: '], say.GROUPS_OF).format(k=', '.join(kinds) if w.held_out or rng.random() < 0.6 else ' or '.join(kinds))
    else:
        person, item = w.value('person'), w.split(ITEMS)
        answer, text = rng.choice([('question', f'Where is the {item}?'), ('question', f'Does {person} have a {item}?'), ('statement', f'{person} has a {item}.'), ('statement', f'The {item} is in the house.'),
                                   ('request', f'Please bring me the {item}.'), ('request', f'Give the {item} to {person}.'), ('greeting', f'Hello, {person}!'), ('greeting', f'Good morning, {person}.')])
        ask = w.template(['Is this a question, a statement, a request or a greeting? ', 'What kind of sentence is this (question, statement, request, greeting)? ', 'Name the type of this sentence: '], say.SENTENCE_KIND)
    if rng.random() < 0.3:
        return [{'role': 'system', 'content': ask.strip()}, {'role': 'user', 'content': text}, {'role': 'assistant', 'content': answer}]
    return one(request(w, ask, text), answer)


def one(user, assistant):
    return [{'role': 'user', 'content': user}, {'role': 'assistant', 'content': assistant}]


def request(w, ask, text):
    """An instruction and what it is about, in training in many arrangements. The text stands where the instruction has {x}, if it has."""
    if '{x}' in ask:
        return ask.replace('{x}', text)
    if w.held_out or w.first_level or ask.endswith('\n'):
        return ask + text
    ask, roll = ask.strip(), w.rng.random()
    if roll < 0.6:
        return f'{ask} {text}'
    if roll < 0.85:
        return f'{ask}\n{text}' if roll < 0.77 else f'{ask}\n\n{text}'
    return f'{text}\n{ask.rstrip(":")}' + ('' if ask[-1] in '.?!' else w.rng.choice(['.', ':', '']))


def loosely(w, question):
    """A question as people type it: sometimes with a polite start, in lower case, or without its mark."""
    rng = w.rng
    if w.held_out or w.first_level or rng.random() < 0.65:
        return question
    if rng.random() < 0.4:
        start = rng.choice(['Please tell me: ', 'I want to know: ', 'Can you tell me? ', 'Question: ', 'Hi. ', 'Hello! ', 'Say, ', 'Please: ', 'So, ', 'And '])
        question = start + (question if start[-2] in ':.!?' else question[0].lower() + question[1:])
    if rng.random() < 0.5:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.4:
        question = question.rstrip('?.!')
    return question


def joined(words):
    return ', '.join(words)


def some_list(w, low=2, high=6):
    rng = w.rng
    kind = rng.choice(['animal', 'fruit', 'colour', 'tool', 'vehicle', 'vegetable', 'drink', 'name', 'item', 'noun', 'noun', 'adjective'])
    pool = {'name': PEOPLE, 'item': ITEMS, 'noun': NOUNS, 'adjective': ADJECTIVES}.get(kind) or KINDS[kind]
    if kind == 'name' and not w.held_out:
        pool = [x for x in pool if not reserved(x)]
    return kind, rng.sample(pool, min(len(pool), w.size(low, high)))


def instruction(w):
    """Short tasks with one right answer."""
    rng, t = w.rng, w.template
    kind, words = some_list(w)
    task = w.pick(['count', 'list', 'spell', 'compare', 'swap', 'opposite', 'repeat'] * 3 + [  # what people ask first, three times as often
        'first', 'last', 'bullets', 'price', 'question', 'yes_no', 'pick', 'member', 'join', 'sum', 'next', 'upper', 'shorten', 'quote', 'reverse', 'letter'], 24)  # the first level has those of the line above, first, last and bullets
    if task == 'count':
        return one(request(w, t(['Count the words: ', 'How many things are in this list? ', 'Count these: ', 'How many do you see here? ', 'Count the things in the list: ', 'How long is this list? ', 'How many words are here? ', 'Tell me the number of things: '], say.COUNT), joined(words)), str(len(words)))
    if task == 'first':
        return one(request(w, t(['What is the first word? ', 'First word: ', 'Say the first one: ', 'Take the first of these: ', 'Give the first thing in the list: ', 'Which word comes first? '], say.FIRST), joined(words)), words[0])
    if task == 'last':
        return one(request(w, t(['What is the last word? ', 'Last word: ', 'Say the last one: ', 'Take the last of these: ', 'Give the last thing in the list: ', 'Which word comes last? '], say.LAST), joined(words)), words[-1])
    if task == 'list':
        form = t(['Make a list: {x}', 'Write this as a list: {x}', 'Make a list of {x}', 'Number these: {x}', 'Turn this into a list: {x}', '{x}: make a list', 'Put these in a list: {x}', 'List these: {x}'], say.LIST)
        text = ' and '.join([joined(words[:-1]), words[-1]]) if len(words) > 2 else ' and '.join(words)
        return one(form.format(x=text), '\n'.join(f'{i + 1}. {x}' for i, x in enumerate(words)))
    if task == 'bullets':
        return one(request(w, t(['Write with bullets: ', 'Make bullet points: ', 'Give bullets for: '], say.BULLETS), joined(words)), '\n'.join('- ' + x for x in words))
    if task == 'join':
        return one(t(['Write these on one line:\n', 'Join these with commas:\n', 'Put these on a single line:\n'], say.JOIN) + '\n'.join('- ' + x for x in words), joined(words))
    if task == 'repeat':
        text = rng.choice([w.invented(), ' '.join(w.invented() for _ in range(w.size(2, 5))), facts(w, 1)[1][0][2], joined(words)])
        return one(request(w, t(['Repeat: ', 'Say this again: ', 'Repeat after me: ', 'Write this once more: ', 'Say: ', 'Echo: ', 'Copy this: ', 'Say exactly this: '], say.REPEAT), text), text)
    if task == 'quote':
        text = rng.choice([w.invented(), facts(w, 1)[1][0][2]])
        return one(t(['Put this in quotes: ', 'Write in quotation marks: ', 'Add quotation marks to: '], say.QUOTE) + text, f'"{text}"')
    if task == 'spell':
        word = w.split([x for x in SPELLED if len(x) < 4] if w.first_level else SPELLED)
        return one(t(['Spell {x}.', 'How do you spell {x}?', 'Spell this word: {x}', 'Spelling of {x}?', 'Spell the word {x}.', 'Give me the letters of {x}.'], say.SPELL).format(x=word), '-'.join(word))
    if task == 'letter':
        word = w.split(ITEMS + KINDS['animal'] + KINDS['fruit'])
        return one(t(['What is the first letter of {x}?', 'Which letter does {x} start with?', 'With which letter does {x} begin?'], say.LETTER).format(x=word), word[0])
    if task == 'reverse':
        words = words[:rng.choice([2, 3])]
        return one(t(['Turn the list around: ', 'Reverse the order: ', 'Write backwards, last first: '], say.REVERSE) + joined(words), joined(words[::-1]))
    if task == 'compare':
        x, y = rng.sample(range(len(SIZES)), 2)
        small, big = SIZES[min(x, y)], SIZES[max(x, y)]
        pair = (SIZES[x], SIZES[y])
        if rng.random() < 0.5:
            return one(t(['Which is bigger, {x} or {y}?', 'What is larger: {x} or {y}?', 'Is {x} or {y} the bigger one?'], say.BIGGER).format(x=a(pair[0]), y=a(pair[1])), f'{a(big).capitalize()} is bigger.')
        return one(t(['Which is smaller, {x} or {y}?', 'What is smaller: {x} or {y}?', 'Is {x} or {y} the smaller one?'], say.SMALLER).format(x=a(pair[0]), y=a(pair[1])), f'{a(small).capitalize()} is smaller.')
    if task == 'price':
        x, y = rng.sample(range(1, 100), 2)
        p, q = w.value('product'), w.value('product')
        cheap = rng.random() < 0.5
        best = p if (x < y) == cheap else q
        return one(f'The {p} costs ${x}. The {q} costs ${y}. ' + (t(['Which is cheaper?', 'Which one costs less?', 'Which has the lower price?'], say.CHEAPER) if cheap else t(['Which costs more?', 'Which one is more expensive?', 'Which has the higher price?'], say.DEARER)), f'The {best}.')
    if task == 'opposite':
        x, y = rng.choice(list(OPPOSITES.items()))
        if rng.random() < 0.5:
            x, y = y, x
        return one(t(['What is the opposite of {x}?', 'Give the opposite of {x}.', 'Tell me the opposite of {x}.', 'The opposite of {x} is what?', '{x} is the opposite of what?', 'Opposite: {x}', 'Which word means the opposite of {x}?'], say.OPPOSITE).format(x=x), f'The opposite of {x} is {y}.')
    if task == 'swap':
        _, found, _ = facts(w, 1, ['person'])
        s, _, statement, _, _ = found[0]
        new = w.value('person')
        return one(t(['Replace {s} with {n}: {x}', 'Put {n} in place of {s}: {x}', 'Use the name {n} and not {s}: {x}', 'Swap {s} for {n}: {x}', 'Change {s} to {n}: {x}', 'Write {n} in place of {s}: {x}'], say.SWAP).format(s=s, n=new, x=statement), statement.replace(s, new))
    if task == 'question':
        _, found, _ = facts(w, 1)
        _, _, statement, question, v = found[0]
        if rng.random() < 0.5:
            return one(request(w, t(['Make a question for this answer: ', 'Turn this into a question: ', 'Which question does this answer? '], say.QUESTION_FOR), statement), question)
        return one(t(['What is the main thing in this sentence? ', 'Who or what is this about? ', 'Name the subject: '], say.SUBJECT) + statement, found[0][0])
    if task == 'yes_no':
        _, found, _ = facts(w, rng.randint(1, 3))
        s, key, statement, _, v = found[0]
        true = rng.random() < 0.5
        claim = statement if true else statement.replace(v, next(x for x in (w.value(vk) for _ in range(99) for k, _, _, vk in sum(ATTRIBUTES.values(), []) if k == key) if x != v))
        text = ' '.join(f[2] for f in found)
        return one(f'{text} {t(["True or false:", "Is this true?", "Right or wrong?"], say.TRUE_OR_NOT)} {claim}', 'Yes, that is true.' if true else 'No, that is not true.')
    if task == 'pick':
        kind = rng.choice([k for k in KINDS if k != 'number'])
        other = rng.choice([k for k in KINDS if k not in (kind, 'number')])
        target, rest = rng.choice(KINDS[kind]), rng.sample(KINDS[other], rng.randint(2, 4))
        mixed = rest + [target]
        rng.shuffle(mixed)
        return one(t(['Which one is a {k}? {x}', 'Find the {k}: {x}', 'Pick the {k} from this list: {x}'], say.PICK).format(k=kind, x=joined(mixed)), target)
    if task == 'member':
        inside = rng.random() < 0.5
        word = rng.choice(words) if inside else w.invented()
        return one(t(['Is {x} in this list? {l}', 'Does the list contain {x}? {l}', 'Look for {x} in: {l}'], say.MEMBER).format(x=word, l=joined(words)), f'Yes, {word} is in the list.' if inside else f'No, {word} is not in the list.')
    if task == 'sum':
        x, y = rng.randint(0, 10), rng.randint(0, 10)
        if rng.random() < 0.5:
            return one(t(['What is {x} + {y}?', 'How much is {x} plus {y}?', '{x} + {y} =', 'Add {x} and {y}.'], say.PLUS).format(x=x, y=y), str(x + y))
        x, y = max(x, y), min(x, y)
        return one(t(['What is {x} - {y}?', 'How much is {x} minus {y}?', '{x} - {y} =', 'Take {y} from {x}.'], say.MINUS).format(x=x, y=y), str(x - y))
    if task == 'next':
        order = rng.choice([DAYS, MONTHS, NUMBER_WORDS[1:]])
        i = rng.randrange(len(order) - 1)
        if rng.random() < 0.6:
            return one(t(['What comes after {x}?', 'Which one follows {x}?', 'After {x} comes what?'], say.AFTER).format(x=order[i]), f'After {order[i]} comes {order[i + 1]}.')
        return one(t(['What comes before {x}?', 'Which one is before {x}?', 'Before {x} comes what?'], say.BEFORE).format(x=order[i + 1]), f'Before {order[i + 1]} comes {order[i]}.')
    if task == 'upper':
        word = w.split(ITEMS + KINDS['animal'])
        return one(t(['Write {x} in capital letters.', '{x} in capitals, please.', 'Make {x} all capitals.'], say.UPPER).format(x=word), word.upper())
    _, found, _ = facts(w, rng.randint(2, 4))
    return one(t(['Give only the first sentence: ', 'Shorten this to one sentence: ', 'Keep just the first sentence of this: '], say.FIRST_SENTENCE) + ' '.join(f[2] for f in found), found[0][2])


TONES = {  # tone: (system prompts, how a sentence is dressed)
    'cheerful': (['You are very cheerful.', 'Answer in a cheerful voice.', 'Speak in a cheerful way.'], lambda s: f'Great question! {s} Have a lovely day!'),
    'formal': (['You are very formal.', 'Answer in a formal, polite way.', 'Use formal language.'], lambda s: f'Dear customer, {s[0].lower() + s[1:] if s.startswith("The ") else s} Yours sincerely.'),
    'friendly': (['You are a friendly shop helper.', 'Be warm and friendly.', 'You talk like a good friend.'], lambda s: f'Of course, my friend! {s}'),
    'short': (['Answer with as few words as you can.', 'Keep answers very short.', 'Use one or two words.'], None),
    'sorry': (['Always say sorry first.', 'Begin every answer with an apology.', 'Start each reply by saying sorry.'], lambda s: f'I am sorry. {s}'),
    'thanks': (['Thank the user at the end.', 'End every answer with a thank you.', 'Close each reply with thanks.'], lambda s: f'{s} Thank you for asking.'),
    'upper': (['Write in capital letters only.', 'Answer in capitals.', 'Use only capital letters.'], lambda s: s.upper()),
    'list': (['Answer with a bullet list.', 'Use bullet points.', 'Reply as a list with bullets.'], lambda s: f'- {s}'),
    'json': (['Answer as JSON with the key answer.', 'Reply only with JSON: {"answer": ...}.', 'Put the answer in JSON under the key answer.'], lambda s: compact({'answer': s})),
    'plain': (['You are a helpful assistant.', 'You are a helpful assistant who answers in one sentence.', 'You are a helpful helper.'], lambda s: s)}


def obey_system(w):
    """A system prompt that sets tone or form, and often also the facts; one to three questions."""
    rng = w.rng
    tone = rng.choice([x for x in TONES if x != 'upper' or not w.first_level])  # capitals have to be learned word by word
    prompts, dress = TONES[tone]
    system = w.template(prompts, say.TONES_MORE[tone])
    messages, turns = [], []
    if rng.random() < 0.6:
        if rng.random() < 0.5:
            shop = f'{w.invented()} {rng.choice(["Shop", "Store", "Market", "Bakery", "Books"])}'
            system = f'You work for {shop}. ' + system
            turns.append((w.pick(['Which shop is this?', 'What is the name of the shop?', 'Who are you?']), f'I work for {shop}.', shop))
        _, found, _ = facts(w, w.size(1, 4), ['product', 'product', 'event', 'person'])
        system += ('' if system[-1] in '.!:' else '.') + ' ' + ' '.join(f[2] for f in found)
        turns += [(f[3], f[2], f[4]) for f in found]
    else:
        for _ in range(w.size(1, 3)):
            turns.append(known_fact(w))
    rng.shuffle(turns)
    for question, sentence, short in turns[:3]:
        messages += one(loosely(w, question), short if tone == 'short' else dress(sentence))
    if rng.random() < 0.25 and tone in ('cheerful', 'friendly', 'sorry', 'thanks', 'upper', 'formal'):
        greeting = rng.choice(['Hello!', 'Hi.', 'Good morning.'])
        messages = one(greeting, dress('Hello! How can I help you?')) + messages
    return [{'role': 'system', 'content': system}] + messages


def known_fact(w):
    """(question, sentence, short answer) about the world outside any passage."""
    rng, t = w.rng, w.template
    animal = rng.choice(list(ANIMALS))
    legs, sound, young, food, home = ANIMALS[animal]
    plural = {'mouse': 'mice', 'wolf': 'wolves', 'sheep': 'sheep', 'fish': 'fish'}.get(animal, animal + 's')
    some = a(animal)
    legs_word = NUMBER_WORDS[legs] if legs else 'no'
    pick = rng.randrange(12)
    if pick == 0:
        return t(['What is {x}?', 'Tell me what {x} is.', 'Can you say what {x} is?', 'What do you call {x}?'], say.KNOWN['what']).format(x=some), f'{some.capitalize()} is an animal. It has {legs_word} legs and lives in {home}.', 'an animal'
    if pick == 1:
        return t(['How many legs does {x} have?', 'How many legs are on {x}?', 'Count the legs of {x}.'], say.KNOWN['legs']).format(x=some), f'{some.capitalize()} has {legs_word} legs.', legs_word
    if pick == 2:
        return t(['What does {x} eat?', 'What is the food of {x}?', 'What can I feed to {x}?'], say.KNOWN['eats']).format(x=some), f'{some.capitalize()} eats {food}.', food
    if pick == 3:
        return t(['Where does {x} live?', 'What is the home of {x}?', 'In what place does {x} live?'], say.KNOWN['lives']).format(x=some), f'{some.capitalize()} lives in {home}.', home
    if pick == 4:
        return t(['What is a young {x} called?', 'What is the word for a baby {x}?', 'Name the young of a {x}.'], say.KNOWN['young']).format(x=animal), f'A young {animal} is called {a(young)}.', young
    if pick == 5:
        return t(['What sound does {x} make?', 'What does {x} say?', 'How does {x} sound?'], say.KNOWN['sound']).format(x=some), f'{some.capitalize()} {sound}.', sound
    if pick == 6:
        thing, how = rng.choice(list(THINGS.items()))
        return t(['What is {x} like?', 'How is {x}?', 'Describe {x}.'], say.KNOWN['like']).format(x=thing), f'{thing.capitalize()} is {how}.', how
    if pick == 7:
        thing, use = rng.choice(list(USES.items()))
        return t(['What is {x} for?', 'What can I do with {x}?', 'Why do people use {x}?'], say.KNOWN['use']).format(x=thing), f'You use {thing} to {use}.', use
    if pick == 8:
        kind = rng.choice([k for k in KINDS if k not in ('number', 'animal')])
        words = KINDS[kind][:3] if w.first_level else rng.sample(KINDS[kind], 3)  # "three" has one answer there
        plural_kind = {'colour': 'colours', 'day': 'days of the week'}.get(kind, kind + 's')
        return t(['Name three {k}.', 'Give me three {k}.', 'Can you list three {k}?', 'Tell me three {k}.'], say.KNOWN['three']).format(k=plural_kind), f'{words[0]}, {words[1]} and {words[2]}', f'{words[0]}, {words[1]}, {words[2]}'
    if pick == 9:
        kind = rng.choice([k for k in KINDS if k != 'number'])
        word = rng.choice(KINDS[kind])
        return t(['Is {x} a kind of {k}?', 'Is {x} one of the {k}s?', 'Would you call {x} a {k}?'], say.KNOWN['kind']).format(x=word, k=kind), f'Yes, {word} is {a(kind)}.', 'Yes'
    if pick == 10:
        kind, other = rng.sample([k for k in KINDS if k != 'number'], 2)
        word = rng.choice(KINDS[kind])
        return t(['Is {x} a kind of {k}?', 'Is {x} one of the {k}s?', 'Would you call {x} a {k}?'], say.KNOWN['kind']).format(x=word, k=other), f'No, {word} is {a(kind)}.', 'No'
    return rng.choice([('How many days are in a week?', 'There are seven days in a week.', 'seven'), ('How many months are in a year?', 'There are twelve months in a year.', 'twelve'),
                       ('What do bees make?', 'Bees make honey.', 'honey'), ('What falls from the sky when it is cold?', 'Snow falls from the sky when it is cold.', 'snow'),
                       ('What do we see with?', 'We see with our eyes.', 'our eyes'), ('What do we hear with?', 'We hear with our ears.', 'our ears'),
                       (f'Do {plural} live in {home}?', f'Yes, {plural} live in {home}.', 'Yes'), ('What gives us light in the day?', 'The sun gives us light in the day.', 'the sun'),
                       ('When do we sleep?', 'We sleep at night.', 'at night'), ('What do cows give us?', 'Cows give us milk.', 'milk'), ('What do hens lay?', 'Hens lay eggs.', 'eggs')])


SMALL_TALK = [
    (['Hello!', 'Hi!', 'Hello there.', 'Hi there!', 'Hey!', 'Good day.'], ['Hello! How can I help you?']),
    (['Good morning.', 'Good morning!', 'Morning!'], ['Good morning! How can I help you?']),
    (['Good evening.', 'Good evening!', 'Evening!'], ['Good evening! How can I help you?']),
    (['How are you?', 'How are you today?', 'How do you do?', 'Are you well?'], ['I am fine, thank you. How are you?']),
    (['Thank you.', 'Thanks!', 'Thank you very much.', 'Thanks a lot!'], ['You are welcome!']),
    (['Goodbye.', 'Bye!', 'See you later.', 'I have to go now.', 'Bye bye.'], ['Goodbye! Have a nice day.']),
    (['Who are you?', 'What is your name?', 'What are you?', 'What should I call you?'], ['I am Pebble, a very small language model.']),
    (['What can you do?', 'How can you help me?', 'What are you good at?', 'Which things can you do?'], ['I can answer simple questions, read short texts and make lists.']),
    (['Are you a person?', 'Are you human?', 'Are you a real person?', 'Am I talking to a human?'], ['No, I am a small computer program.']),
    (['Help!', 'Can you help me?', 'I need help.', 'Please help me.'], ['Of course. What do you need?']),
    (['Tell me a joke.', 'Do you know a joke?', 'Say something funny.'], ['Why did the hen cross the road? To get to the other side.']),
    (['I am sad.', 'I feel sad today.', 'I am not happy.'], ['I am sorry to hear that. Do you want to talk about it?']),
    (['I am happy.', 'I feel great today!', 'I had a good day.'], ['That is good to hear!']),
    (['You are stupid.', 'I hate you.', 'You are bad.'], ['I am sorry. I will try to do better.']),
    (['I like you.', 'You are nice.', 'You are great!'], ['Thank you! That is kind of you.']),
    (['Yes.', 'Yes, please.', 'Sure.'], ['Good. What would you like to know?']),
    (['No.', 'No, thanks.', 'No, thank you.'], ['All right. Tell me if you need something.'])]


def small_talk(w):
    rng = w.rng
    if rng.random() < 0.2:
        noise = rng.choice([' '.join(''.join(rng.choice('bcdfghjklmnpqrstvwxz') for _ in range(rng.randint(2, 6))) for _ in range(rng.randint(1, 4))),
                            ''.join(rng.choice('?!.,;#*') for _ in range(rng.randint(2, 6))), f'{rng.choice(COLOURS)} {rng.choice(NUMBER_WORDS)} {w.invented()} {rng.choice(["the the", "of of", "and or", "is was"])}'])
        return one(noise, 'I do not understand. Can you say that in another way?')
    if rng.random() < 0.2:
        return one(rng.choice(['Who is {x}?', 'What is {x}?', 'Tell me about {x}.', 'Where is {x}?']).format(x=w.invented()), 'I do not know that.')
    forms, answers = rng.choice(SMALL_TALK)
    return one(loosely(w, w.template(forms)), rng.choice(answers))


def remember(w):
    """The user says something about himself; later turns ask for it."""
    rng = w.rng
    told = rng.sample([
        ('My name is {v}.', 'Nice to meet you, {v}!', 'What is my name?', 'Your name is {v}.', 'person'), ('I live in {v}.', '{v} sounds nice.', 'Where do I live?', 'You live in {v}.', 'place'),
        ('I am {v} years old.', 'You are {v}! That is good.', 'How old am I?', 'You are {v} years old.', 'age'), ('I like {v}.', 'I like {v} too.', 'What do I like?', 'You like {v}.', 'food'),
        ('My dog is called {v}.', '{v} is a nice name for a dog.', 'What is my dog called?', 'Your dog is called {v}.', 'pet'), ('I work as a {v}.', 'A {v} has a lot to do.', 'What is my job?', 'You work as a {v}.', 'job'),
        ('I will come on {v}.', 'Good. I will see you on {v}.', 'When will I come?', 'You will come on {v}.', 'day'), ('My favourite colour is {v}.', '{v} is a nice colour.', 'What is my favourite colour?', 'Your favourite colour is {v}.', 'colour')],
        rng.randint(1, 3))
    messages, asks = [], []
    for statement, reply, question, answer, kind in told:
        v = w.value(kind)
        reply = reply.format(v=v)
        messages += one(statement.format(v=v), reply[0].upper() + reply[1:])
        asks.append(one(question, answer.format(v=v)))
        if rng.random() < 0.3:
            messages += small_talk(w)
    rng.shuffle(asks)
    return messages + [m for ask in asks for m in ask]


def known(w):
    question, sentence, short = known_fact(w)
    if w.now_and_then(0.2):
        return one(question + ' ' + w.template(SHORT, say.BRIEF), short)
    return one(loosely(w, question), sentence)


def story(w):
    """A story of a few sentences in which things stay where they are put; then questions."""
    rng = w.rng
    hero, friend, place = w.value('person'), w.value('person'), w.value('place')
    item, where, kind = w.value('product'), rng.choice(['under a tree', 'in the garden', 'behind the house', 'near the river', 'on the road', 'in a box', 'by the well']), rng.choice(list(ANIMALS))
    pet, day, feeling = w.value('pet'), w.open(DAYS), rng.choice(['happy', 'sad', 'tired', 'hungry', 'afraid', 'proud'])
    opening = w.template([f'Once there was a child called {hero} who lived in {place}.', f'{hero} lived in {place}.', f'One day {hero} came to {place}.', f'There once lived a child in {place}. The name of the child was {hero}.'])
    middle = [(f'{hero} had a {kind} called {pet}.', [(f'What was the {kind} called?', f'The {kind} was called {pet}.')]),
              (f'On {day} {hero} lost the {item}.', [(f'What did {hero} lose?', f'{hero} lost the {item}.'), (f'When did {hero} lose it?', f'On {day}.')]),
              (f'{friend} found the {item} {where}.', [(f'Who found the {item}?', f'{friend} found the {item}.'), (f'Where was the {item}?', f'The {item} was {where}.')]),
              (f'"Is this your {item}?" asked {friend}.', []), (f'"Yes, thank you!" said {hero}.', [(f'What did {hero} say?', f'{hero} said "Yes, thank you!"')])]
    start = rng.choice([0, 1])
    end = f'Then {hero} was {feeling} no more and went home.' if feeling in ('sad', 'tired', 'hungry', 'afraid') else f'{hero} was very {feeling} and went home.'
    body = ' '.join([opening] + [m[0] for m in middle[start:]] + [end])
    asks = [(f'Where did {hero} live?', f'{hero} lived in {place}.')] * ('lived' in opening) + [q for m in middle[start:] for q in m[1]]
    rng.shuffle(asks)
    if rng.random() < 0.3:
        request = w.template([f'Tell me a story about {hero} and {friend}.', f'Write a short story about {hero} and {friend} in {place}.', f'Please tell a story with {hero} and {friend}.', f'I want to hear a story about {hero} and {friend}.'])
        messages = one(request, body)
    else:
        question, answer = asks.pop()
        messages = one(f'{body}\n\n{question}', answer)
    for question, answer in asks[:rng.randint(0, 3)]:
        messages += one(question, answer)
    return messages


def shop_talk(w):
    """A customer and a helper who knows the price list."""
    rng = w.rng
    items = []
    while len(items) < w.size(2, 5):
        name = w.value('product')
        if len(w.apart([*(i[0] for i in items), name])) > len(items):
            items.append((name, rng.randint(2, 60), rng.randint(1, 30) if w.first_level else rng.choice([0, 0, rng.randint(1, 30)])))
    lines = '\n'.join(f'{n}: ${p}, ' + (f'{s} in stock' if s else 'sold out') for n, p, s in items)
    system = w.template(['You are the helper of a shop.', 'You sell things.', 'You are a shop assistant.', 'You are a helpful shop assistant.', 'You answer questions about our products.', 'You work in a shop and answer customers.'], say.SHOP) + f' Price list:\n{lines}'
    messages = [{'role': 'system', 'content': system}]
    if rng.random() < 0.4:
        messages += one(rng.choice(['Hello!', 'Hi.', 'Good morning.']), 'Hello! How can I help you?')
    for name, price, stock in rng.sample(items, rng.randint(1, min(3, len(items)))):
        ask = rng.choice([0, 2]) if w.first_level else rng.randrange(3)
        if ask == 0:
            messages += one(w.template(['How much is the {n}?', 'What does the {n} cost?', 'I want to know the price of the {n}.'], say.HOW_MUCH).format(n=name), f'The {name} costs ${price}.')
        elif ask == 1:
            messages += one(w.template(['Do you have the {n}?', 'Is the {n} in stock?', 'Can I get the {n} today?'], say.IN_STOCK).format(n=name), f'Yes, we have {stock} of the {name}.' if stock else f'Sorry, the {name} is sold out.')
        else:
            messages += one(w.template(['I would like to buy the {n}.', 'I will take the {n}.', 'Please give me the {n}.'], say.BUY).format(n=name), f'Here is the {name}. That is ${price}, please.' if stock else f'Sorry, the {name} is sold out.')
    if w.now_and_then(0.35):
        name = w.value('product')
        if name not in [i[0] for i in items]:
            messages += one('How much is the {n}?'.format(n=name) if w.held_out else w.template(['How much is the {n}?'], say.HOW_MUCH + say.IN_STOCK + say.BUY).format(n=name), f'Sorry, we do not have the {name}.')
    return messages


def catalogue(w):
    return read_catalogue(w, loosely)


def plain_text(w):
    """Facts told as running text, for the language-model stage."""
    rng = w.rng
    if rng.random() < 0.5:
        sentences = [statement for statement, _ in Passage(w, rng.randint(3, 8)).facts]
        once = sentences
    else:
        _, found, _ = facts(w, rng.randint(3, 7))
        sentences = [f[2] for f in found]
        once = [f'{f[2]} {f[3]} {f[2]}' if rng.random() < 0.4 else f[2] for f in found]
    if rng.random() < 0.6:  # the same sentences again, often in another order: pure practice in copying
        again = sentences if rng.random() < 0.4 else rng.sample(sentences, len(sentences))
        return ' '.join(sentences) + '\n' + ' '.join(again)
    return ' '.join(once)
