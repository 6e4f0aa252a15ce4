"""The small world of the curriculum: names, words, kinds of things, what can be said and asked about them.
Which exercises are made of it lives in curriculum.py."""
import hashlib
import random
import re

from wordings import expand

PEOPLE = '''Mina Tom Anna Ben Clara Dan Ella Finn Greta Hugo Ivy Jack Kira Leo Maya Nils Olga Paul Rosa Sam Tessa Uma Vera Will Yara Zoe
Adam Bella Carl Dora Emil Flora Gus Hana Ian Julia Karl Lena Max Nora Oscar Petra Quinn Ruth Simon Tara Victor Wendy Alma Boris Cora
Dora Edgar Freya George Helen Igor Jonas Katya Lucas Marta Noah Omar Pia Ravi Sara Theo Ursula Vito Amir Bruno Chloe Dina Elias Fatima'''.split()
PLACES = '''Oldbridge Redhill Stonewell Greenford Ashby Fairview Lakeside Millbrook Northgate Westport Eastham Kingsley Riverton Sunvale
Harwick Elmwood Brighton Silverton Dunmore Foxley Maplewood Hilltop Seaford Thornbury Winterfield Appleton Bridgewater Clearwater Oakdale
Pinecrest Roseville Springfield'''.split()
JOBS = 'baker teacher farmer doctor nurse driver painter singer cook gardener sailor tailor writer miner plumber fisherman pilot dentist builder librarian'.split()
COLOURS = 'red blue green yellow white black brown grey pink orange purple'.split()
MATERIALS = 'wood glass wool stone paper iron leather cotton clay silver straw silk'.split()
DAYS = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split()
MONTHS = 'January February March April May June July August September October November December'.split()
FOODS = 'bread cheese apples soup rice honey cake fish carrots eggs pears nuts beans plums noodles jam grapes potatoes milk corn pie lemons'.split()
ITEMS = '''lamp chair table kettle blanket basket clock mirror kite drum cup bowl hat coat scarf ladder bell bucket candle comb pillow rope
spoon brush umbrella bag box ring boat book ball doll whistle shelf broom teapot jug lantern saddle fan stool vase knife tent'''.split()
NUMBER_WORDS = 'zero one two three four five six seven eight nine ten eleven twelve'.split()
HOURS = [f'{h} o\'clock' for h in NUMBER_WORDS[1:]]
ANIMALS = {  # kind: (legs, sound, young, food, home)
    'dog': (4, 'barks', 'puppy', 'meat', 'a house'), 'cat': (4, 'meows', 'kitten', 'fish', 'a house'), 'cow': (4, 'moos', 'calf', 'grass', 'a farm'),
    'horse': (4, 'neighs', 'foal', 'grass', 'a stable'), 'sheep': (4, 'says baa', 'lamb', 'grass', 'a farm'), 'pig': (4, 'oinks', 'piglet', 'corn', 'a farm'),
    'duck': (2, 'quacks', 'duckling', 'plants', 'a pond'), 'hen': (2, 'clucks', 'chick', 'seeds', 'a farm'), 'frog': (4, 'croaks', 'tadpole', 'flies', 'a pond'),
    'lion': (4, 'roars', 'cub', 'meat', 'the grassland'), 'bear': (4, 'growls', 'cub', 'honey and fish', 'the forest'), 'wolf': (4, 'howls', 'cub', 'meat', 'the forest'),
    'mouse': (4, 'squeaks', 'pup', 'seeds', 'a hole'), 'goat': (4, 'bleats', 'kid', 'grass', 'a farm'), 'bee': (6, 'buzzes', 'larva', 'nectar', 'a hive'),
    'owl': (2, 'hoots', 'owlet', 'mice', 'a tree'), 'snake': (0, 'hisses', 'snakelet', 'mice', 'the grass'), 'rabbit': (4, 'makes little sound', 'bunny', 'carrots and grass', 'a burrow'),
    'fish': (0, 'makes no sound', 'fry', 'small plants', 'the water'), 'spider': (8, 'makes no sound', 'spiderling', 'flies', 'a web'),
    'ant': (6, 'makes no sound', 'larva', 'seeds', 'a nest'), 'crow': (2, 'caws', 'chick', 'seeds and worms', 'a tree'), 'elephant': (4, 'trumpets', 'calf', 'leaves', 'the grassland')}
SIZES = 'ant bee spider mouse frog rat duck hen cat rabbit owl dog goat sheep wolf pig lion bear cow horse elephant'.split()  # smallest first
KINDS = {'animal': list(ANIMALS), 'fruit': 'apple pear plum banana cherry grape lemon peach orange melon fig'.split(), 'colour': COLOURS,
         'tool': 'hammer saw spade axe rake drill needle file shovel'.split(), 'vehicle': 'car bus train boat bicycle truck plane ship tram'.split(),
         'vegetable': 'carrot potato onion bean cabbage leek pea beet turnip'.split(), 'drink': 'water milk tea coffee juice cocoa'.split(),
         'day': DAYS, 'number': NUMBER_WORDS[1:], 'job': JOBS, 'month': MONTHS}
OPPOSITES = dict(p.split('-') for p in '''big-small hot-cold up-down day-night happy-sad fast-slow old-young open-closed wet-dry hard-soft light-dark
full-empty long-short high-low rich-poor good-bad clean-dirty strong-weak early-late near-far left-right black-white new-old loud-quiet
thick-thin sweet-sour first-last yes-no brave-afraid begin-end buy-sell win-lose always-never inside-outside'''.split())
THINGS = {'snow': 'cold and white', 'fire': 'hot', 'ice': 'cold', 'sugar': 'sweet', 'a lemon': 'sour', 'the sky': 'blue', 'grass': 'green', 'the sun': 'bright and hot',
          'a stone': 'hard', 'a feather': 'light', 'water': 'wet', 'night': 'dark', 'coal': 'black', 'blood': 'red', 'a banana': 'yellow', 'honey': 'sweet',
          'a mountain': 'high', 'the sea': 'deep and salty', 'a pillow': 'soft', 'a snail': 'slow', 'milk': 'white', 'iron': 'heavy and hard'}
USES = {'a knife': 'cut', 'a pen': 'write', 'a key': 'open a door', 'a lamp': 'see in the dark', 'a bed': 'sleep', 'an umbrella': 'stay dry in the rain',
        'a spoon': 'eat soup', 'a boat': 'cross the water', 'a clock': 'tell the time', 'a broom': 'sweep the floor', 'a coat': 'stay warm', 'a book': 'read',
        'a cup': 'drink', 'a kettle': 'boil water', 'a ladder': 'climb up', 'an oven': 'bake bread', 'a needle': 'sew', 'a map': 'find the way'}
GOOD = 'wonderful lovely great excellent delicious friendly perfect beautiful fantastic helpful charming tasty comfortable quick bright'.split()
BAD = 'terrible awful bad broken rude dirty boring slow horrible ugly useless cold late disappointing noisy'.split()
# Open vocabulary of the reading exercises: any of them can stand in any sentence pattern.
NOUNS = '''anchor apron arch arrow axle balcony banner barrel barn beam bench bicycle blade board bolt bottle bowl branch bridge brick bucket button cabin cage
camera candle canoe card carpet cart castle cellar chain chest chimney church cloak coin compass cottage cradle crate crown curtain cushion desk diary dish door drawer
drum engine fence ferry field flag flute fork fountain frame garden gate glove goblet guitar hall hammer handle harp hat hedge helmet hook horn hut inn island jacket jar
jewel kennel key kitchen kite ladder lamp lantern letter lever lid lock loom map mask mast medal mill mirror mug nail necklace needle nest net notebook oar orchard oven
paddle page palace parcel path pencil photo piano picture pillar pipe plate pocket pond post pot pump purse quilt radio raft rail ribbon road robe roof room rope rug sack
sail saw scale school seal shed shield ship shirt shoe shop sign sled sock statue stick stone stove string sword tablecloth tank tea telescope temple thread throne ticket
tile tool torch towel tower toy train trap tray trumpet trunk tunnel valley van veil violin wagon wall wallet watch well wheel whip wig window wing wire yard'''.split()
RELATIONS = '''age address aim answer author bottom captain code colour cook cost cover driver duty edge end father floor front gift goal guard guest guide habit head height
hero idea judge key king language leader length letter limit mark master measure member mood mother motto name number owner pattern plan pilot pupil queen rank reason
result roof rule secret shape side sign singer sister size smell song sound speed start steward symbol task taste teacher title top trade uncle use value voice weight width
wish word writer'''.split()
ADJECTIVES = '''ancient bitter blunt bold bright broad calm careful cheap clean clever cold cool crooked curly damp dark deep dry dull dusty early empty faint false fine firm
flat fresh full funny gentle golden heavy high hollow holy hot huge kind lame large late lazy light little lonely long loose loud low mild muddy narrow neat noisy odd open
pale plain polite poor proud quick quiet rare raw rich ripe rough round rude safe salty secret sharp shiny short shy silent silver simple slow smooth soft solid sour square
steep sticky straight strange strong tall tame thick thin tidy tiny tired tough ugly warm weak wet wide wild wise wooden young'''.split()
# base and past of what a person can do to a thing
VERBS = [tuple(v.split('/')) for v in '''borrow/borrowed break/broke bring/brought build/built burn/burned bury/buried buy/bought carry/carried catch/caught choose/chose
clean/cleaned close/closed collect/collected copy/copied count/counted cover/covered cut/cut design/designed draw/drew drop/dropped empty/emptied fill/filled find/found
fix/fixed fold/folded forget/forgot guard/guarded hide/hid hold/held inspect/inspected keep/kept kick/kicked leave/left lend/lent lift/lifted light/lit lock/locked lose/lost
mend/mended miss/missed move/moved notice/noticed open/opened order/ordered pack/packed paint/painted polish/polished pull/pulled push/pushed reach/reached
rent/rented repair/repaired replace/replaced save/saved see/saw sell/sold send/sent share/shared show/showed steal/stole tear/tore tie/tied throw/threw touch/touched
turn/turned visit/visited wash/washed watch/watched win/won wrap/wrapped'''.split()]
GIVING = [tuple(v.split('/')) for v in 'give/gave send/sent lend/lent show/showed sell/sold bring/brought hand/handed throw/threw offer/offered'.split()]
WHERE = 'under behind near beside above below inside before opposite against beyond past'.split()
COLUMNS = '''price stock colour size weight maker shelf code room floor owner date hour score team place rank age height depth speed seats pages fee phone level grade'''.split()
SYLLABLES = 'ba be bo da de do fa fi ga go ha hi jo ka ke ki la le lo ma me mi mo na ne no pa pe ra re ri ro sa se so ta te ti to va ve vi wa we za zo zu'.split()
RUDE = {'sex', 'tit', 'tits', 'homo', 'rape', 'dik'}  # what the syllables make by chance
ENDINGS = ['n', 'r', 'l', 's', 'x', 'm', 't', 'k', '', '', 'sh', 'nd']

# What can be said about a subject: kind → [(key, statements, questions, kind of value)].
# The LAST statement and question of every list are never trained on when there are three or more: they measure new wording.
ATTRIBUTES = {
    'person': [
        ('place', ['{s} lives in {v}.', '{s} has a house in {v}.', 'The home of {s} is in {v}.'], ['Where does {s} live?', 'Where is the house of {s}?', 'In which town does {s} live?', 'Tell me where {s} lives.', 'What town is the home of {s}?'], 'place'),
        ('job', ['{s} is a {v}.', '{s} works as a {v}.', '{s} earns money as a {v}.'], ['What is the job of {s}?', 'What does {s} do?', 'What does {s} work as?', 'What work does {s} do?'], 'job'),
        ('age', ['{s} is {v} years old.', '{s} has turned {v} years old.'], ['How old is {s}?', 'What is the age of {s}?', 'Tell me how old {s} is.'], 'age'),
        ('food', ['{s} likes {v}.', '{s} loves to eat {v}.', '{s} enjoys {v}.'], ['What does {s} like?', 'Which food does {s} like?', 'What does {s} love to eat?', 'What food makes {s} happy?'], 'food'),
        ('colour', ['The favourite colour of {s} is {v}.', '{s} likes the colour {v} best.'], ['What is the favourite colour of {s}?', 'Which colour does {s} like best?'], 'colour'),
        ('pet', ['{s} has a {v}.', '{s} keeps a {v}.', '{s} owns a {v}.'], ['What animal does {s} have?', 'Which pet does {s} keep?', 'What kind of pet does {s} own?'], 'animal'),
        ('friend', ['{s} has a friend called {v}.', 'The best friend of {s} is {v}.'], ['Who is the friend of {s}?', 'What is the name of the friend of {s}?'], 'person'),
        ('day', ['{s} comes on {v}.', '{s} will arrive on {v}.', '{s} gets here on {v}.'], ['When does {s} come?', 'On which day does {s} come?', 'When will {s} arrive?', 'What day is {s} here?'], 'day')],
    'product': [
        ('price', ['The {s} costs {v}.', 'The price of the {s} is {v}.', 'You can buy the {s} for {v}.'], ['How much is the {s}?', 'What does the {s} cost?', 'How much does the {s} cost?', 'Price of the {s}?', 'What is the price of the {s}?', 'How much must I pay for the {s}?'], 'price'),
        ('colour', ['The {s} is {v}.', 'The colour of the {s} is {v}.'], ['What colour is the {s}?', 'Which colour does the {s} have?'], 'colour'),
        ('material', ['The {s} is made of {v}.', 'We make the {s} of {v}.'], ['What is the {s} made of?', 'Which material is the {s}?', 'What is used to make the {s}?'], 'material'),
        ('stock', ['There are {v} of the {s} left.', 'We have {v} of the {s} in stock.'], ['How many of the {s} are left?', 'How many of the {s} do you have in stock?', 'What number of the {s} do you still have?'], 'count'),
        ('place', ['The {s} comes from {v}.', 'The {s} is made in {v}.'], ['Where does the {s} come from?', 'Where is the {s} made?'], 'place')],
    'town': [
        ('mayor', ['The mayor of {s} is {v}.', '{v} is the mayor of {s}.'], ['Who is the mayor of {s}?', 'What is the name of the mayor of {s}?'], 'person'),
        ('market', ['The market in {s} is on {v}.', '{s} has a market on {v}.'], ['When is the market in {s}?', 'On which day is the market in {s}?', 'What is the market day of {s}?'], 'day'),
        ('food', ['{s} is known for its {v}.', 'People in {s} eat a lot of {v}.'], ['What is {s} known for?', 'What do people in {s} eat?'], 'food'),
        ('houses', ['There are {v} houses in {s}.', '{s} has {v} houses.'], ['How many houses are in {s}?', 'How many houses does {s} have?'], 'count')],
    'event': [
        ('day', ['The {s} is on {v}.', 'The {s} takes place on {v}.'], ['When is the {s}?', 'What day is the {s}?', 'On which day is the {s}?', 'What day is the {s} held?'], 'day'),
        ('hour', ['The {s} starts at {v}.', 'The {s} begins at {v}.'], ['At what time does the {s} start?', 'When does the {s} begin?'], 'hour'),
        ('place', ['The {s} is in {v}.', 'The {s} will be held in {v}.'], ['Where is the {s}?', 'In which town is the {s}?'], 'place'),
        ('price', ['A ticket for the {s} costs {v}.', 'For {v} you get into the {s}.'], ['How much is a ticket for the {s}?', 'What does a ticket for the {s} cost?'], 'price')],
    'pet': [
        ('kind', ['{s} is a {v}.', 'The {v} is called {s}.'], ['What kind of animal is {s}?', 'What is {s}?'], 'animal'),
        ('owner', ['{s} belongs to {v}.', '{v} is the owner of {s}.'], ['Who does {s} belong to?', 'Who is the owner of {s}?'], 'person'),
        ('food', ['{s} eats {v}.', 'The food of {s} is {v}.'], ['What does {s} eat?', 'What is the food of {s}?'], 'food'),
        ('age', ['{s} is {v} years old.', '{s} has turned {v} years old.'], ['How old is {s}?', 'What is the age of {s}?'], 'age')]}
EVENTS = 'concert fair party race wedding meeting play picnic parade lesson feast match'.split()


def reserved(word: str) -> bool:
    """One word in eight is kept for evaluation only; the choice depends on the word alone."""
    return hashlib.sha256(word.lower().encode()).digest()[0] < 32


class World:
    """Random words from the training side or, when `held_out`, from the side that is never trained on.

    On the `first_level` every request has one wording (the first of its list), things come in twos and threes whose names share no
    word, and nothing varies that need not: what the smallest model can master. Every answer takes one search of the text. In passages
    about one subject it is the value alone, or that it is not stated (a sentence would begin with the subject either way, before it is
    known which). Elsewhere it is a sentence that begins with what the question names, and what is asked is there."""

    def __init__(self, rng: random.Random, held_out: bool = False, first_level: bool = False):
        self.rng, self.held_out, self.first_level = rng, held_out, first_level

    def size(self, low: int, high: int, easy: int | None = None) -> int:
        """How many; on the first level at most `easy` (one more than the least, if it is not given)."""
        return self.rng.randint(low, min(high, low + 1 if easy is None else easy) if self.first_level else high)

    def pick(self, options, easy: int = 1):
        """One of the options; on the first level one of the first `easy`."""
        return self.rng.choice(options[:easy] if self.first_level else options)

    def now_and_then(self, chance: float) -> bool:
        """Whether a variation is made; never on the first level."""
        return self.rng.random() < chance and not self.first_level

    def open(self, words):
        """A word of a list whose members are all trained on (colours, days)."""
        return self.rng.choice(words)

    def split(self, words):
        """A word of this side; of a tuple (base and past of a verb) the first form decides."""
        side = [w for w in words if reserved(w if isinstance(w, str) else w[0]) == self.held_out]
        return self.rng.choice(side or words)

    def apart(self, names):
        """The names in order, each once; on the first level without those that share a word with one before."""
        kept = []
        for name in names:
            if name not in kept and not (self.first_level and set(name.split()) & {word for k in kept for word in k.split()}):
                kept.append(name)
        return kept

    def template(self, forms, more=()):
        """A wording. Of three or more, the last is for evaluation. In training most come from the patterns `more` (wordings.py)."""
        if self.first_level:
            return forms[0]
        if more and not self.held_out and self.rng.random() < 0.7:
            text = expand(self.rng, self.rng.choice(more))
            if text.rstrip(' :.?\n').lower() != forms[-1].rstrip(' :.?\n').lower():
                return text if self.rng.random() < 0.15 else text[:1].upper() + text[1:]
        if len(forms) < 3:
            return self.rng.choice(forms)
        return forms[-1] if self.held_out else self.rng.choice(forms[:-1])

    def invented(self) -> str:
        """A word that nobody has seen, so that it can only be copied."""
        while True:
            word = ''.join(self.rng.choice(SYLLABLES) for _ in range(self.rng.choice([1, 2, 2, 2, 3]))) + self.rng.choice(ENDINGS)
            if len(word) > 2 and word not in RUDE and reserved(word) == self.held_out:
                return word.capitalize()

    def value(self, kind: str) -> str:
        rng = self.rng
        if kind == 'person':
            return self.invented() if rng.random() < 0.4 else self.split(PEOPLE)
        if kind == 'place':
            return self.invented() if rng.random() < 0.4 else self.split(PLACES)
        if kind == 'pet':
            return self.invented() if rng.random() < 0.6 else self.split(PEOPLE)
        if kind == 'age':
            return str(rng.randint(2, 90))
        if kind == 'count':
            return str(rng.choice([rng.randint(2, 20), rng.randint(20, 400)]))
        if kind == 'price':
            return self.pick([f'{rng.randint(2, 99)} dollars', f'${rng.randint(2, 99)}', f'${rng.randint(1, 60)}.{rng.choice(["50", "90", "25", "99", "75"])}', f'{rng.randint(2, 99)} coins', f'{rng.randint(2, 99)} euros'])
        if kind == 'hour':
            return rng.choice(HOURS)
        if kind == 'product':
            head = self.pick([self.open(COLOURS), self.open(MATERIALS), 'old', 'new', 'big', 'small', self.invented(), self.invented()], 6)
            return f'{head} {self.split(ITEMS)}'
        if kind == 'event':
            return rng.choice([self.split(EVENTS), f'{self.invented()} {self.split(EVENTS)}', f'{rng.choice(["spring", "summer", "winter", "school", "village"])} {self.split(EVENTS)}'])
        if kind == 'town':
            return self.value('place')
        return self.split({'job': JOBS, 'colour': COLOURS, 'material': MATERIALS, 'day': DAYS, 'month': MONTHS, 'food': FOODS, 'animal': list(ANIMALS), 'item': ITEMS}[kind]) \
            if kind in ('job', 'food', 'item') else self.open({'colour': COLOURS, 'material': MATERIALS, 'day': DAYS, 'month': MONTHS, 'animal': list(ANIMALS)}[kind])


def a(noun: str) -> str:
    """The noun with its article."""
    return ('an ' if noun[0] in 'aeiouAEIOU' else 'a ') + noun


def articles(messages: list) -> list:
    """The conversation with “an” before a vowel, where a wording had “a” before the place of a word."""
    return [{**m, 'content': re.sub(r'\ba (?=[aeiou])', 'an ', m['content'])} for m in messages]
