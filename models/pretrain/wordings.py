"""The many ways in which people ask for the same thing, put together from parts: `<a|b|>` stands for one of its alternatives.
Which exercises ask lives in curriculum.py and reading.py. The wordings kept for evaluation stand there, last in their lists; they do not come out of here.

A model that has met five wordings of a request learns five requests by heart and takes a sixth for small talk; one that has met hundreds
looks for the words that matter."""
import re

ALTERNATIVES = re.compile(r'<([^<>]*)>')


def expand(rng, pattern: str) -> str:
    """One of the texts that a pattern stands for, innermost alternatives first."""
    while '<' in pattern:
        made = ALTERNATIVES.sub(lambda found: rng.choice(found[1].split('|')), pattern)
        if made == pattern:  # the `<` of a text, not of a pattern
            break
        pattern = made
    return pattern


DO = '<|||||Please |please |Can you |Could you |I want you to |I need you to |Now |Task: |Your task: |Let us |Go on and >'
THIS = '<this|the text|this text|the sentence|this sentence|the review|this review|the message|this message|what I say|it|the following|the words below|the comment|this line>'
KNOW = '<|||||Tell me, |Say, |Please say: |Do you know: |I ask you: |One more question: |Quick question: |Next: |My question: >'
END = '<:|:|.|>'

# Labels. {p} and {n} are the names, {k} a list of groups.
MOOD = [
    DO + '<label|classify|mark|tag|rate|judge|sort|score> ' + THIS + ' as <|either >{p} or {n}' + END + ' ',
    DO + '<decide|find out|work out|check|guess|choose> <if|whether> ' + THIS + ' is {p} or {n}' + END + ' ',
    KNOW + '<does ' + THIS + ' sound|does ' + THIS + ' feel|does ' + THIS + ' look|do you find ' + THIS + '> {p} or {n}? ',
    '{p} or {n}<:|?|>\n', '<Labels|Choices|Options|Classes|Answers|Moods>: {p}, {n}<.|> ', '<Sentiment|Mood|Feeling|Tone|Opinion|Label|Class>, {p} or {n}: ',
    DO + '<give|write|say|return|answer with|reply with|name|choose|pick> <one word|the label|the right label|the sentiment|the feeling|one label|the mood>, {p} or {n}' + END + ' ',
    DO + '<choose|pick|take|use> <{p} or {n}|one of {p} and {n}|between {p} and {n}> for ' + THIS + END + ' ',
    KNOW + '<is the feeling|is the mood|is the opinion|is the tone|is the writer|is the customer|is that> {p} or {n}? ',
    'You <label|sort|rate|judge|classify> <texts|reviews|messages|comments|sentences>. <Answer|Reply|Say|Write> <only |just |>{p} or {n}. ',
    '<Answer|Reply|Say|Write> {p} <if the text is good|for good texts|for praise|when somebody is glad> and {n} <if it is bad|for bad ones|for complaints|when not>. ']
NAMED = [
    '<Say|Write|Answer|Answer with|Reply with|Use> {p} <if|when> it is good<,| and|, or> {n} <if|when> it is bad<:|.> ', '{p} means good, {n} means bad<.|:> ',
    '<Good|Nice|Kind> <texts|words|reviews> are {p}, bad <ones|texts|reviews> are {n}<.|:> ', '<Is this|Which is it,|Would it be> {p} (good) or {n} (bad)? ',
    DO + '<sort|label|mark|rate> ' + THIS + ': {p} for good, {n} for bad. ', 'good = {p}, bad = {n}\n']
PRAISE = [  # {t} the thing, {w} a word for it, {o} another on the same side
    '<I|We|My sister|Her uncle|Everyone|Most guests|All of us|The children> <found|called|thought> {t} {w}.', '{t} <looked|seemed|felt|turned out|is|was> <very |really |quite |so |rather |>{w}<.|!|, I must say.|, as always.>',
    '{t}: {w}<.|!| and {o}.>', '<Well, |Honestly, |Oh, |To be honest, |In short, >{t} <is|was> {w}.', '{w}, {w}, {w}! That is {t}.', 'Look at {t}! So {w} and {o}.', 'How {w} {t} <is|was>!',
    '{t} <is|was> not <just|only> {w}, it <is|was> {o}.', '<I bought it last week.|We went there on Monday.|It came today.|This is my second visit.> {t} <is|was> {w}<.| and {o}.>', '{w} and {o}, that is what I think of {t}.',
    '<Nobody|No one> told me that {t} is so {w}.', 'I <will say|must say|have to say> that {t} <is|was> {w}<.| and also {o}.>']
GROUPS_OF = [
    DO + '<sort|label|classify|tag|mark|put> <this|this word|the word|it> <as|into|under|in> <one of |>{k}' + END + ' ', KNOW + 'which of <these groups|these kinds|these labels|these> is it: {k}? ', '<Groups|Labels|Classes|Kinds|Choices|Options>: {k}<.|.| Word:> ',
    DO + '<choose|pick|find|give|say> <the group|the kind|the class|the label|the right label> (<|one of >{k})' + END + ' ', 'Is <it|the word|this word> <a kind of |one of |>{k}? ', '{k}<?|:> ', 'To which of {k} does <it|this|this word> belong? ',
    DO + '<choose|pick|say|answer with|reply with> one <label|word|group> <from|of|out of> {k}' + END + ' ', 'You sort words into {k}. <|Answer with the group. |Say the group only. >']
SENTENCE_KIND = [
    KNOW + '<is it|is that|is the sentence|is the text|would that be> a <question, a statement, a request or a greeting|statement, question, greeting or request|greeting, a question, a request or a statement>? ',
    DO + '<label|classify|sort|tag|mark> ' + THIS + ' as <|one of |a ><question, statement, request or greeting|greeting, request, question, statement|statement, request, question, greeting>' + END + ' ',
    '<Labels|Classes|Kinds|Types|Options>: <question, statement, request, greeting|greeting, question, statement, request|request, greeting, statement, question><.|.| Text:> ',
    DO + '<say|find|give|tell me|choose> <what this is|the kind|the class|the label> (<question, statement, request, greeting|statement, greeting, question or request>)' + END + ' ',
    'You sort sentences into <questions, statements, requests and greetings|greetings, requests, statements and questions>. ']

# JSON. {k} the keys, {t} the text.
AS_JSON = [
    DO + '<extract|get|take|find|read|pull> {k} from ' + THIS + ' <and|, then> <answer|reply|write it|give it> <as|in|with> JSON: {t}', DO + '<write|make|give me|build|return|create|produce|print> <JSON|a JSON object|an object in JSON> <with|for|holding|from> {k}<:|.|\n> {t}',
    '{t}\n' + DO + '<write|give|return|make> <that|this|it> as JSON <with|with the keys|with the fields|, keys> {k}.', '<Keys|Fields|Slots|Names>: {k}\n<Text|Sentence|Input|Message>: {t}<\nJSON:|\nAnswer:|\nOutput:|>',
    '<Text|Sentence|Input|Message>: {t}\n<Fields|Slots|Wanted|Keys>: {k}<\nOutput:|\nAnswer in JSON.|\nReply with JSON.|>', DO + '<fill|fill in> <the keys|the fields|the slots|> {k} <as|in> JSON from ' + THIS + ': {t}',
    'JSON<:|, please:| for me:|.> {k}. {t}', DO + '<put|change|rewrite|transform|parse> ' + THIS + ' <into|as|to> JSON <with the fields|with|having|using> {k}<:|.|\n> {t}', 'From <this|the text|the sentence>: {t} <I want|I need|Give me|Return> JSON with {k}.',
    '<Which|What> {k} <do you find|do you see|are there>? <Reply|Write it|Return them> as JSON. {t}', '"{t}" <as JSON|in JSON|to JSON> with {k}']
JSON_SYSTEM = [
    '<Extract|Find|Take|Read> {k} <and|, then> <answer|reply|write> <as|in|with> JSON<.| only.>', 'You <read|get|are given> <sentences|texts|messages> and <write|return|answer|reply with> JSON with <|the keys |the fields |the slots >{k}.',
    '<Answer|Reply|Respond> <only |always |>with <JSON|a JSON object|one JSON object><: {k}| with {k}| holding {k}|, keys {k}>.', 'Your job: text to JSON. <Keys|Fields|Slots>: {k}', '<Keys|Fields|Slots>: {k}. <Answer in JSON.|Reply with JSON.|Write JSON.>',
    'You are a parser<.| of short texts.> <Return|Write|Give> JSON <with|for> {k}.']
INTENT = [
    '<What is the intent|Which intent is this|What is being asked>? <Reply|Write|Answer> <as|in> JSON.', DO + '<read|parse|label|extract> <the request|this request|the message|the intent and the slots> <and answer|and reply|and write it> <as|in> JSON.',
    '<Return|Write|Answer with|Reply with> JSON: the intent<, then the slots| and its slots| and the details>.', 'Request to JSON<.|:>', 'You <understand|read|parse> requests. <Answer|Reply> <with|in> JSON<.| only.>', 'intent and slots, as JSON<:|.>']

# Short tasks.
COUNT = [DO + 'count <the items|the entries|all of these|everything here|them|what is in the list|these words>' + END + ' ', KNOW + 'how many <items|words|entries|of them> <are there|are these|do I have|does the list have|are in it>? ', '<Number of|Count of> <items|words|entries>: ',
         DO + '<say|write|give|find> <how many there are|how many words there are|how many items these are>' + END + ' ', 'How many: ', '<Items|Words|List>: {x}\n<How many?|How many are there?|Count them.|The number?>']
FIRST = [DO + '<say|give|write|take|pick|show> <me |>the <first|first word|first item|first entry|word at the start>' + END + ' ', KNOW + '<what is first|which one is first|what comes first|what stands first|which item is first>? ', '<List|Words>: {x}\n<The first?|Which is first?|First item?>']
LAST = [DO + '<say|give|write|take|pick|show> <me |>the <last|last word|last item|last entry|word at the end>' + END + ' ', KNOW + '<what is last|which one is last|what comes last|what stands last|which item is last>? ', '<List|Words>: {x}\n<The last?|Which is last?|Last item?>']
LIST = [DO + '<write|make|give me|show|set out|print> <a list of|a numbered list of|a list with|a list from|one list of> {x}<.|>', DO + '<turn|change|make|put|bring> {x} into a <|numbered >list<.|>', DO + 'number <the words|the items|them|each of these>: {x}',
        '{x}. <A list, please.|List, please.|Number them.|As a numbered list.|Write them as a list.>', '<A list|A numbered list|Numbered>: {x}', DO + '<write|show> {x} <as a list|as a numbered list|one under the other with numbers><.|>']
BULLETS = [DO + '<write|make|give me|show> <bullets|a bullet list|bullet points|a list with bullets> <of|for|from|with>' + ' these' + END + ' ', DO + '<turn|put|change|make> <these|them|the words> into <bullets|a bullet list|bullet points>' + END + ' ', '<Bullets|Bullet list|As bullets|With dashes>: ', '{x}\n<As bullets.|Bullets, please.|As a bullet list.>']
JOIN = [DO + '<write|put|bring|set> <them|the list|these items|all> <on one line|in one line|into one line|in a row><:|>\n', DO + '<join|connect|link> <them|the items|the lines|the list> <with commas|by commas|into one line><:|>\n', '<One line|With commas|As one line><:|, please:>\n']
REPEAT = [DO + '<repeat|copy|echo|say|write|type|tell me|give back|print> <what follows|the following|these words|this text|the same|after me|exactly|back to me>: ', DO + '<repeat|copy|echo|say again|write again|write down>: ', '<Again|Once more|Copy|Parrot|Back to me|Same words>: ', '"{x}" <Say it again.|Repeat it.|Now you.|Copy it.|Write it too.>', 'I say "{x}". <You say it too.|Say the same.|Repeat it.>']
SPELL = [DO + '<spell|spell out> <{x}|the word {x}|"{x}"|it: {x}> <|for me|letter by letter|with dashes|, please><.|>', KNOW + 'how is <{x}|the word {x}|"{x}"> <spelled|spelt|written letter by letter>?', DO + '<write|say|show> <{x}|the word {x}> letter by letter<.|>', '<Spell|Spelling|Letters>: {x}', '{x}<: spell it.|, letter by letter.|. How do you spell it?|. Spell it, please.>']
LETTER = [KNOW + '<what|which> letter <comes first in|is first in|stands at the start of|opens> <{x}|the word {x}>?', '<First letter|Start letter> of {x}<:|?|>', DO + '<say|give|write> the first letter of {x}<.|>']
REVERSE = [DO + '<turn round|reverse|flip|turn> <the list|the order|these|them>' + END + ' ', DO + '<write|say|give> <these|them|the words|the list> <in reverse|in reverse order|the other way round|from the end to the start>' + END + ' ', '<Reverse|Reversed|Other way round|In reverse>: ']
BIGGER = [KNOW + '<which is|which one is|what is|who is> <bigger|larger|the bigger|the larger>: {x} or {y}?', '{x} or {y}<: which is bigger?|, which is larger?|: what is bigger?|. Which one is bigger?>', DO + '<say|tell me|name> <which is bigger|what is larger|the bigger one>, {x} or {y}<.|>', 'Bigger<:|,> {x} or {y}?']
SMALLER = [KNOW + '<which is|which one is|what is|who is> <smaller|littler|the smaller>: {x} or {y}?', '{x} or {y}<: which is smaller?|, which is smaller?|: what is smaller?|. Which one is smaller?>', DO + '<say|tell me|name> <which is smaller|what is smaller|the smaller one>, {x} or {y}<.|>', 'Smaller<:|,> {x} or {y}?']
CHEAPER = ['<Which is|What is> <the cheaper one|cheaper to buy|the cheapest>?', '<Which|What> <costs less|is the cheaper thing|do I pay less for>?', '<Tell me|Say|Name> <the cheaper one|which is cheaper|what costs less>.', 'The cheaper one?', 'I have little money. Which one?']
DEARER = ['<Which is|What is> <the dearer one|more expensive|dearer>?', '<Which|What> <is the more expensive thing|do I pay more for|costs the most>?', '<Tell me|Say|Name> <the dearer one|which costs more|what is more expensive>.', 'The more expensive one?']
OPPOSITE = [KNOW + '<what|which word> is the <opposite of|contrary of|other side of|opposite to> <{x}|the word {x}|"{x}">?', DO + '<say|find|write|tell> <me |>the <opposite|opposite word|contrary> <of|for|to> <{x}|"{x}"|the word {x}><.|>', '{x}<: the opposite?|. What is the opposite?|. Opposite?|: opposite|, and the opposite?>', '<Contrary|Opposite of|Opposite word for><:|> {x}', 'not {x} <but what?|means?>', KNOW + 'what do you call it when something is not {x}?']
SWAP = [DO + '<replace|exchange|swap|trade> {s} <with|by|for> {n}<: {x}| in this: {x}| here: {x}|.\n{x}>', DO + '<write|say|use> {n} <for|and not|where it says|instead of> {s}<: {x}|.\n{x}>', '{s} is now {n}<:|.> {x}', '{x}\n<Use {n} for {s}.|Replace {s} with {n}.|Now with {n} for {s}.|Make {s} into {n}.>', 'The same with {n} <for|and not> {s}: {x}', '{s} -> {n}: {x}']
QUESTION_FOR = [DO + '<write|ask|give|find> <a question for|the question to|a question that fits|the question behind> <this answer|this|the answer>: ', '<Answer|Given answer>: {x}\n<Question:|The question?|What was the question?>', 'What was asked? ']
SUBJECT = [KNOW + '<who|what|who or what> <is the subject|is meant|do I speak of|do we talk about|is it about>? ', DO + '<find|give|say|write> the <subject|topic|thing it is about>' + END + ' ', '<Subject|Topic|About>: ']
TRUE_OR_NOT = ['<Is that so|Is this right|Is it so|Does it say that|Would that be right|Am I right>?', '<Yes or no|True or not|Is it true or not|Right or not|Check this>:', '<Tell me if this is true|Say if this is right|Is the next sentence true>:']
PICK = [KNOW + '<which|which word|which of them|what> is <a|the> {k}: {x}?', DO + '<pick|find|choose|show|name|take> <the|a|one> {k} <from|in|out of|among> <these|the list|this list|the words>: {x}', '{x}<. Which is the {k}?|: the {k}?|. Find the {k}.|. Name the {k}.>', '<The|One> {k}: {x}']
MEMBER = [KNOW + 'is {x} <here|among these|one of these|among them|one of the words>? {l}', KNOW + 'do you <see|find> {x} <here|in it|among these>? {l}', '{l}\n<Is {x} there?|Is {x} in it?|Does it have {x}?|Do you see {x}?>', DO + '<check if|see if|find out if> {x} is <here|there|in this list>: {l}']
PLUS = ['{x} <plus|and|+> {y}<?| =|:| is?| makes?>', DO + '<add|sum> {x} <and|plus|to> {y}<:|?|>', KNOW + 'what do {x} and {y} make?', 'The sum of {x} and {y}<?|:|>', '{x}+{y}<?|=|>', KNOW + 'what is the sum of {x} and {y}?']
MINUS = ['{x} <minus|less|-> {y}<?| =|:| is?>', DO + 'subtract {y} from {x}<:|?|>', KNOW + 'what is {x} <less|without|take away> {y}?', '{x}-{y}<?|=|>', 'I had {x} and lost {y}. How many are left?']
AFTER = [KNOW + '<what|which|who> <is next after|is after|follows|comes next after|stands after> {x}?', '{x}, and then<?|...>', 'The <next|one> after {x}<?|:>', 'Next after {x}<?|:>']
BEFORE = [KNOW + '<what|which> <is just before|stands before|goes before|is right before> {x}?', 'The <one|last one> before {x}<?|:>', 'Just before {x}<?|:>']
UPPER = [DO + '<write|put|set|print|say> <{x}|the word {x}|"{x}"> in <capitals|big letters|upper case|all capitals><.|>', '<Capitals|Upper case|Big letters>: {x}', '{x} <in big letters|in upper case|with capitals><.|, please.|!>', DO + '<shout|capitalise> {x}<.|!>']
FIRST_SENTENCE = [DO + '<say|give|copy|write|keep|take> <me |only |>the first sentence' + END + ' ', '<First sentence|One sentence|Shorter|Only the start>: ', DO + '<shorten|cut|trim> <it|the text|this text> <to its first sentence|to one sentence|down to one sentence>' + END + ' ']
QUOTE = [DO + '<put|set|write> <the following|it|these words|this text> <in quotes|between quotation marks|in quotation marks>: ', '<Quoted|In quotes|With quotes>: ', DO + '<quote|put quotes around|put quotation marks around> <this|it|the following>: ']

# Reading.
BEFORE_TEXT = ['<Here are|These are|I have> <some |my |our |a few |>facts:', '<Article|Note|Report|Page|Letter|Paragraph|Source|Excerpt|Extract|Background|Material|Knowledge>:', 'Look at this<.|:>', 'Read <carefully|the passage|the page|this text|what follows><.|:>', '<I read this|Somebody wrote this|It says here>:', 'This is the text<.|:>', '']
BEFORE_LINES = ['<Points|List|Facts I know|Lines|Records|Entries|Details|Memo|Sources>:', '<Here are|These are> <the |my |our |>notes:', 'What is known<.|:>', 'From our <books|files|list|records>:', '']
READ_SYSTEM = ['<Answer|Reply|Respond|Speak> <only |>from <the text|the notes|the lines|the facts> <below|here|that follow><.|:>', 'You <have read|know|have> <this|the following|these facts|these lines>:', 'You are <a helper|an assistant|a clerk|a guide|a librarian>. <Facts|Notes|Here are your notes|What you know|Your knowledge>:',
               '<Knowledge|Background|Source|Sources|Material|Data|Facts>:', 'You <help people|help visitors|answer guests|serve customers>. <Look it up here|Use this|Look here|These are the facts>:', '<Look up|Find> <the answer|answers> <here|in this text|in these notes|below>:', 'If it is not in the text, say so. <Text:|Notes:|Facts:>']
BRIEF = ['<Be brief.|Keep it short.|In a word or two.|Few words, please.|No full sentence.|Only the words.|Answer briefly.|As short as you can.|Answer only.|Brief answer, please.|Nothing else.>']
WORD_IN_SENTENCE = ['<Which|What> sentence <contains|uses|mentions|has> {q}?', 'Find <the sentence that has|the sentence with|where it says|the place with> {q}.', '<Copy|Give me|Repeat|Say|Read me> the sentence <with|that has|that contains|about> {q}.', '<What is said|What does it say|What do we read> about {q}?', '{q}?', 'Sentence with {q}<:|.|?>']
LOOK_UP = ['<Find|Get|Give me|Show|Tell me|Say|Read out> {k}.', '<What is|And|Value of|What about|Entry> {k}?', '<Look for|Search for|Search> {k}.', 'What <stands by|stands next to|is said of|do you have for|is listed for|is there for> {k}?', '{k}<:| =|...>', 'I <need|want|look for|ask for> {k}.', '<Which|What> <value|entry> has {k}?']

# What a system prompt asks for.
TONES_MORE = {
    'cheerful': ['<Be|Sound|Stay|You sound|You are always> <cheerful|very cheerful|bright and cheerful|full of cheer><.|!| in every answer.>', 'You are a <cheerful|happy, cheerful|very cheerful> <helper|shop assistant|guide|clerk>.', '<Use|Keep> a cheerful <tone|voice|style>.', 'Style: cheerful'],
    'formal': ['<Be|Sound|Stay|You are> <formal|very formal|formal and polite|stiff and formal><.| at all times.>', '<Use|Keep> a formal <tone|voice|style>.', 'You write <formal letters|formal answers|like a lawyer|like a bank>.', 'Style: formal', 'You are a formal <clerk|butler|assistant>.'],
    'friendly': ['<Be|Sound|Stay> <friendly|warm|kind and friendly|very friendly><.|!| to everyone.>', '<Use|Keep> a <friendly|warm> <tone|voice|style>.', 'You are <friendly|a warm and friendly clerk|a friendly helper|kind and friendly>.', 'Style: friendly', 'Treat the <user|customer|guest> as a friend.'],
    'short': ['<Be|Be very|Always be> <brief|short>.', '<Short|Very short|One-word|Brief> answers<.| only.>', 'Style: <short|brief>', 'You <say little|do not talk much|waste no words|hate long answers>.', 'No <long|full> sentences.', 'Give <only the answer|just the answer|the bare answer>.'],
    'sorry': ['<Apologise|Say sorry> <first|before you answer|before every answer|at the start>.', '<Every answer|Each answer|Every reply> <starts|begins|opens> with <sorry|an apology|I am sorry>.', 'First <say that you are sorry|an apology>, then the answer.', 'You are always <sorry|very sorry>.'],
    'thanks': ['<Say thank you|Say thanks|Give thanks|Thank them> <at the end|after each answer|after the answer|when you are done>.', '<Every answer|Each answer|Every reply> <ends|closes|stops> with <thanks|a thank you|thank you>.', 'First the answer, then <thanks|a thank you>.', '<Finish|End> with thanks.'],
    'upper': ['<ALL CAPITALS|CAPITALS|UPPER CASE><.| ONLY.>', '<Write|Speak|Reply|Answer> in <upper case|big letters|all capitals|block letters|capital letters><.|, always.>', 'You <shout|always shout|write in capitals>.', 'Every letter <is|must be> a capital.'],
    'list': ['<Write|Give|Make> <a bullet list|bullets|bullet points>.', 'Every answer is a <bullet list|list with bullets|bullet point>.', '<Bullets|Bullet points|Lists> only.', 'Format: <bullets|bullet list>', 'Start each line with a dash.'],
    'json': ['<Write|Return|Give|Output> JSON <with|having> <the key answer|one key, answer|the field answer>.', 'Format: JSON, key answer', 'Every answer is <JSON|a JSON object> with the <key|field> answer.', 'Return {"answer": ...}<.| and nothing else.>', 'JSON only<.|, with the key answer.>'],
    'plain': ['You are <an assistant|a helper|a good helper|Pebble|a polite assistant|a small assistant|here to help>.', '<Answer|Help with> <the question|questions|what is asked>.', '<Answer|Reply> in <one sentence|a full sentence|full sentences>.', 'You <help|answer> <people|users|the user|visitors>.']}

SHOP = ['You <help|serve|answer> <customers|people|shoppers|guests> <of|in|at> <a shop|our shop|a small shop|a store>.', 'You are <a clerk|a seller|a salesman|the voice|the assistant> <of|in|at> <a shop|our store|our shop>.', '<Our|The> shop sells <these things|this|what follows>.', '<Be|You are> <helpful|polite> to <customers|shoppers>.', 'This is <a|our> shop.']
HOW_MUCH = ['<How much|What> <is|for|about> <the|a|one> {n}?', '<Price|Cost> <of|for> <the |a |>{n}<?|, please?|>', 'What <is|will be> the price of <the|a|one> {n}?', 'How <much|many dollars> does <the|a|one> {n} cost?', '<Tell me|Give me|Say> the price of the {n}<.|, please.>', 'What do you <ask|want|charge> for the {n}?', '{n}, how much?']
IN_STOCK = ['<Have you|Have you got|Do you sell|Do you still have|Is there|Do you keep> <the|a> {n}?', '<Any|A> {n} <left|here|in the shop>?', 'Is the {n} <there|here|available|sold out>?', '<How many of the {n} do you have|Are there some of the {n}>?', 'I look for the {n}. Do you have it?']
BUY = ['<One|The|A> {n}<, please.|!|.>', '<I want|I would like|I need|Give me|Sell me|Let me have> <the|one|a> {n}<.|, please.>', 'I <want to buy|buy|want to have|choose> the {n}.', '<Can|Could|May> I <buy|have|take> the {n}?', 'The {n} for me<.|, please.>']

# What is asked and said about the small world; the lists themselves are in world.py.
QUESTIONS = {
    ('person', 'place'): ['<What is the home|Where is the home|Which town is the home> of {s}?', '<Where|In what town|In what place> is {s} <living|at home>?', '<Home|Town> of {s}?'],
    ('person', 'job'): ['<Which|What> job does {s} have?', 'What is {s}<| by trade>?', 'How does {s} earn money?', '<Job|Work|Trade> of {s}?', 'Tell me the job of {s}.'],
    ('person', 'age'): ['<Age of {s}?|How many years old is {s}?|What age is {s}?|How many years has {s} lived?>'],
    ('person', 'food'): ['<What|Which food> does {s} <enjoy|like to eat|eat with joy|love>?', '<Favourite food|The food> of {s}?', 'What is the <favourite food|best-loved food> of {s}?'],
    ('person', 'colour'): ['<What|Which> colour does {s} <like|love|prefer>?', 'Favourite colour of {s}?', 'Tell me the colour that {s} likes best.'],
    ('person', 'pet'): ['<Which|What> <animal|pet> <belongs to {s}|lives with {s}|does {s} own|does {s} have>?', '<Pet|Animal> of {s}?', 'Tell me the pet of {s}.'],
    ('person', 'friend'): ['<Who|Which person> is <the best friend of {s}|a friend to {s}|close to {s}>?', '<Friend|Best friend> of {s}?', 'Tell me the friend of {s}.'],
    ('person', 'day'): ['<Which|What> day <does {s} come|will {s} come|does {s} arrive>?', '<When|On what day> <is {s} coming|can we see {s}|does {s} get here>?', 'Say when {s} comes.'],
    ('product', 'price'): ['<What|How much> <do you want|do I pay> for the {s}?', '<Tell me|Give me> the price of the {s}.', 'The {s}: how much?', 'At what price can I buy the {s}?', 'How many dollars is the {s}?'],
    ('product', 'colour'): ['<What is|Tell me> the colour of the {s}<?|.>', '<Colour of the {s}?|The {s} has which colour?|In what colour is the {s}?>'],
    ('product', 'material'): ['<What|Which material> do <they|you> use for the {s}?', '<Material of the {s}?|Of what is the {s} made?|What material is the {s}?|The {s} is of what?>'],
    ('product', 'stock'): ['<How many of the {s} are there?|How many of the {s} have you got?|Stock of the {s}?|How many of the {s} can I buy?|How many pieces of the {s} are in stock?>'],
    ('product', 'place'): ['<Where is the {s} from?|Which place does the {s} come from?|Where do they make the {s}?|In which town is the {s} made?|Origin of the {s}?>'],
    ('town', 'mayor'): ['<Who leads {s}?|Mayor of {s}?|What is the mayor of {s} called?|Which person is mayor of {s}?|Tell me who the mayor of {s} is.>'],
    ('town', 'market'): ['<On what day does {s} have a market?|Market day in {s}?|Which day is market day in {s}?|When can I go to the market in {s}?>'],
    ('town', 'food'): ['<What food is {s} known for?|What is eaten in {s}?|Which food do they eat in {s}?|The food of {s}?>'],
    ('town', 'houses'): ['<Number of houses in {s}?|How many houses stand in {s}?|What number of houses does {s} have?|How many houses can I see in {s}?>'],
    ('event', 'day'): ['<Which day is the {s}?|The {s} is on what day?|Day of the {s}?|When will the {s} be?|Tell me the day of the {s}.>'],
    ('event', 'hour'): ['<What time does the {s} start?|What time is the {s}?|At what hour does the {s} begin?|Start of the {s}?|Say when the {s} starts.>'],
    ('event', 'place'): ['<Where will the {s} be?|Where is the {s} held?|Place of the {s}?|Which town has the {s}?|Where must I go for the {s}?>'],
    ('event', 'price'): ['<Price of a ticket for the {s}?|How much does a ticket for the {s} cost?|What must I pay for the {s}?|What is the price of the {s}?>'],
    ('pet', 'kind'): ['<Which animal is {s}?|Is {s} a dog, a cat or what?|What animal is {s}?|{s} is what kind of animal?>'],
    ('pet', 'owner'): ['<Whose pet is {s}?|Owner of {s}?|Who owns {s}?|To whom does {s} belong?|Who has {s}?>'],
    ('pet', 'food'): ['<What food does {s} get?|What do they feed {s}?|Food for {s}?|What is {s} fed?>'],
    ('pet', 'age'): ['<Age of {s}?|How many years old is {s}?|What age is {s}?>']}
STATEMENTS = {
    ('person', 'place'): ['<The house of {s} is in {v}.|{s} is at home in {v}.|You can find {s} in {v}.|{s} comes home to {v}.>'], ('person', 'job'): ['<The job of {s} is {v}.|{s} has the job of a {v}.|By trade {s} is a {v}.|As a {v}, {s} is busy.>'],
    ('person', 'age'): ['<The age of {s} is {v}.|{s} is now {v}.>'], ('person', 'food'): ['<The favourite food of {s} is {v}.|{s} would eat {v} every day.|Give {s} some {v}!>'],
    ('person', 'colour'): ['<{s} loves {v}.|The colour {s} loves is {v}.>'], ('person', 'pet'): ['<A {v} lives with {s}.|The pet of {s} is a {v}.|{s} walks with a {v}.>'], ('person', 'friend'): ['<{v} is a friend of {s}.|{s} and {v} are friends.|{s} likes {v} best of all.>'],
    ('person', 'day'): ['<On {v} {s} comes.|You can expect {s} on {v}.|{s} is due on {v}.>'], ('product', 'price'): ['<For the {s} you pay {v}.|{s}: {v}.|The {s} is {v}.|We ask {v} for the {s}.>'],
    ('product', 'colour'): ['<You get the {s} in {v}.|We sell a {v} one of the {s}.|The {s} comes in {v}.>'], ('product', 'material'): ['<They use {v} for the {s}.|The {s} was made from {v}.>'], ('product', 'stock'): ['<{v} of the {s} are here.|We still hold {v} of the {s}.|Stock of the {s}: {v}.>'],
    ('product', 'place'): ['<{v} is where the {s} comes from.|People in {v} make the {s}.|The {s} is from {v}.>'], ('town', 'mayor'): ['<The people of {s} chose {v} as mayor.|Mayor {v} leads {s}.|In {s} the mayor is {v}.>'],
    ('town', 'market'): ['<On {v} there is a market in {s}.|Market day in {s} is {v}.|Go to {s} on {v} for the market.>'], ('town', 'food'): ['<They cook much {v} in {s}.|Everyone in {s} eats {v}.>'], ('town', 'houses'): ['<You can count {v} houses in {s}.|In {s} stand {v} houses.>'],
    ('event', 'day'): ['<Come to the {s} on {v}.|We hold the {s} on {v}.|On {v} there is the {s}.>'], ('event', 'hour'): ['<At {v} the {s} begins.|Be at the {s} by {v}.|The {s} opens at {v}.>'], ('event', 'place'): ['<{v} is the place of the {s}.|Go to {v} for the {s}.|In {v} there is the {s}.>'],
    ('event', 'price'): ['<The {s} costs {v} a ticket.|Tickets for the {s}: {v}.|You pay {v} to see the {s}.>'], ('pet', 'kind'): ['<The animal called {s} is a {v}.|They have a {v} by the name of {s}.>'], ('pet', 'owner'): ['<{v} owns {s}.|{s} lives with {v}.|{s} is the pet of {v}.>'],
    ('pet', 'food'): ['<They feed {s} with {v}.|{s} likes to eat {v}.|Give {s} some {v}.>'], ('pet', 'age'): ['<The age of {s} is {v}.|{s} is {v} now.>']}
KNOWN = {
    'what': ['<What sort of thing|What kind of thing> is {x}?', 'Explain what {x} is.', '{x}: what is that?', 'Do you know what {x} is?'], 'legs': ['<How many legs has {x}|How many legs do you see on {x}|{x} has how many legs|On how many legs does {x} walk>?', 'Number of legs of {x}?', 'Legs of {x}?'],
    'eats': ['<What food does {x} like|What does {x} live on|What do you give {x} to eat|Which food is for {x}>?', 'Food of {x}?', 'Tell me what {x} eats.'], 'lives': ['<Where do I find {x}|Where is {x} at home|Which place is the home of {x}|Where can {x} be found>?', 'Home of {x}?', 'Tell me where {x} lives.'],
    'young': ['<What is the young of a {x}|What is a baby {x} called|What is the name for a young {x}|How is a small {x} called>?', 'A baby {x} is called what?', 'Tell me the word for a young {x}.'], 'sound': ['<Which sound does {x} make|What noise does {x} make|What do you hear from {x}>?', 'Sound of {x}?', 'Tell me the sound of {x}.'],
    'like': ['<What can you say about {x}|How would you describe {x}|How does {x} feel|What do you know about {x}>?', 'Tell me how {x} is.', '{x} is how?'], 'use': ['<What is the use of {x}|For what do you need {x}|What do people do with {x}|How do you use {x}|When do I need {x}>?', 'Tell me what {x} is for.'],
    'three': ['<Say|List|Write|Find> three {k}<.|, please.>', '<I need|I want> three {k}.', 'Three {k}<.|:|, please.>', '<Which three {k} do you know|Do you know three {k}>?'], 'kind': ['<Does {x} belong to the {k}s|Is it true that {x} is a {k}|Do we call {x} a {k}>?', '{x}: is that a {k}?', 'Tell me, is {x} a {k}?']}

# Requests to a helper; the slots that a wording names are those of the answer.
REQUESTS = {
    'call': ['<I want to|Let me|I need to|Can I|We should> <talk to|speak with|phone|call> {person}<| on {day}| at {hour}|, on {day} if you can><.|>', '<Give|Make> {person} a call<| at {hour}| on {day}>.', 'Phone {person}<| now|, please>.'],
    'buy': ['<Can I|May I|Could we> <have|get|buy> {count} of the {item}<?| from {place}?>', '<Please buy|Bring me|Send me|We need> {count} of the {item}<.| from {place}.| for {person}.>', '{count} of the {item}<, please.| for {person}, please.>', 'A {item} from {place}, please.'],
    'travel': ['<How do I|I want to|We must|Can you help me> <get|go|travel> to {place}<| on {day}| by {hour}|, on {day}><.|?>', '<Book|Find> a trip to {place}<| on {day}| for {person}>.', '{person} <wants|has> to be in {place} <on {day}|at {hour}>.'],
    'remind': ['<Make sure that|See that> I <remember|think of> the {item}<| on {day}| at {hour}>.', '<Tell|Remind> {person} <about|of> the {item}<| on {day}>.', 'The {item}, <on {day}|at {hour}>: do not let me forget it.', 'I must not forget the {item}<| on {day}>.']}

# Reading with an open vocabulary: p and q people, n a thing, s a being, t a town, r a relation, v what is said of it; base and past of a verb.
OPEN = {
    'relation_said': ['<{s} has the {r} {v}|The {r} that {s} has is {v}|{s} has {v} for its {r}|As the {r} of {s} we know {v}>.', '{s}: {r} {v}.'],
    'relation': [KNOW + '<what|which> {r} <has {s}|is that of {s}|belongs to {s}>?', '{s}<: what {r}?|, which {r}?|: the {r}?>', DO + '<say|give|find|tell> me the {r} of {s}<.|>', '<What is|And> the {r} that {s} has?', '{r} of {s}<?|:>', 'I <need|want to know|look for> the {r} of {s}.'],
    'what': ['{p} {past} what?', 'What thing did {p} {base}?', '<Say|Do you know|Can you tell me> what {p} {past}<.|?>', 'What is the thing that {p} {past}?', KNOW + 'what did {p} {base}?'],
    'who': ['<Say|Do you know|Can you tell me> who {past} {n}<.|?>', 'Which of them {past} {n}?', 'Who is the one who {past} {n}?', '{n}: who {past} it?', KNOW + 'who {past} {n}?', 'By whose hand? Who {past} {n}?'],
    'where': ['In <which|what> place <is|do I find> {s}?', 'Do you know where {s} is?', 'Where <does {s} stand|must I look for {s}|do I see {s}|can we see {s}|is the place of {s}>?', '{s} is where?', 'I look for {s}. Where is that?', KNOW + 'where is {s}?'],
    'when': ['{p} {past} {n} when?', '<On what day|In what year or on what day|At which time> did {p} {base} {n}?', '<Say|Do you know> when {p} {past} {n}<.|?>', 'What is the time at which {p} {past} {n}?', KNOW + 'when did {p} {base} {n}?'],
    'in_town': ['<Number|Count> of {many} in {t}?', 'How many {many} <can be found|are there|do you find|stand> in {t}?', 'In {t}, how many {many} are there?', '<Do you know|Say|Tell me> how many {many} {t} has.', '{t} has how many {many}?'],
    'of_person': ['{p} has how many {many}?', 'What number of {many} does {p} have?', 'How many {many} are <with {p}|in the hands of {p}|the things of {p}>?', '<Do you know|Say|Tell me> how many {many} {p} has.', 'How many {many} has {p}?'],
    'giver': ['<Do you know|Say|Tell me> who {past} {n} to {q}.', '{q} got {n} from whom?', 'Who is the one who {past} {n} to {q}?', 'Which of them {past} {n} to {q}?'],
    'taker': ['{p} {past} {n} to whom?', '<Do you know|Say|Tell me> who got {n} from {p}.', 'Whom did {p} {base} {n} to?', 'Which person has {n} from {p}?', 'In whose hands is {n} from {p}?'],
    'gift': ['{p} {past} what to {q}?', '<Do you know|Say|Tell me> what {p} {past} to {q}.', 'What thing did {q} get from {p}?', '{q} got what from {p}?', 'What has {q} from {p}?'],
    'why': ['{p} {past} {n}: why?', '<Do you know|Say|Explain> why {p} {past} {n}.', 'What made {p} {base} {n}?', 'How come {p} {past} {n}?', 'Give me the reason why {p} {past} {n}.', KNOW + 'why did {p} {base} {n}?'],
    'quality': ['How does the {n} in {t} look?', '<What kind of|What sort of> {n} <has {t}|is in {t}|does {t} have>?', 'Tell me how the {n} in {t} is.', 'The {n} in {t}: how is it?', 'How would you describe the {n} in {t}?'],
    'called': ['<What|Which> name <does {n} have|has {n}|is given to {n}>?', 'How is {n} called?', 'The name of {n}?', 'What do we call {n}?', 'Tell me the name of {n}.', '{n} is called what?'],
    'bears': ['What has the name {name}?', 'Who or what is called {name}?', '{name} is the name of what?', 'What is known as {name}?', 'What thing is {name}?'],
    'cell': ['<What|Which> {column} has {name}?', '{column} of {name}<?|:|>', 'For {name}, what is the {column}?', DO + '<say|read|find|tell me|show me> the {column} of {name}<.|>', 'I <need|want|look for> the {column} of {name}.', '{name}, {column}?', 'What does it say for {name} under {column}?', '<Read the table|In the table>: {column} of {name}?']}

# Exercises that can only be done from the prompt (imitate.py): {p} quoted words, {c} a topic, {n} a name, {x} a refusal.
LIKE_EXAMPLES = [DO + '<follow|imitate|copy|continue> <the pattern|this pattern|the samples|the form|the lines above|the model>.', '<Same|In the same form|In the same style|Like above|As above>, please.', 'Learn from <these|the samples|the examples below|the lines> and <answer|go on|reply>.',
                 '<Samples|Examples|Pattern|Demonstrations|Cases>:', 'You <see|get> <some examples|a few samples|a few cases>. <Go on|Do the next one|Do the last one>.', 'Give the <output|answer|result|label> <for the last one|for the next one>.', DO + '<fill in|complete|finish> the last <one|line>.']
BEGIN_WITH = ['<Always|You must|You should|Please> <begin|start|open> <every|each|your> <reply|message|sentence|response> with <|the phrase |the words >"{p}"', '<Each|Every> <reply|response|message> <must|has to|should> <begin|start> with "{p}"', '"{p}" <comes first|goes first|stands at the start|is how you begin> in <every|each> <answer|reply>.',
              'Rule: <start|begin> with "{p}"', '<Write|Put|Use> "{p}" <at the start|in front> of <every|each> <answer|reply|response>.', 'You <never|do not> answer without <saying "{p}" first|"{p}" at the start>.', 'First <write|say> "{p}" and then <the answer|answer|reply>.', 'All <answers|replies> <begin|start|open> with "{p}"']
END_WITH = ['<Always|You must|You should|Please> <end|finish|close> <every|each|your> <reply|message|response> with <|the phrase |the words >"{p}"', '<Each|Every> <reply|response|message> <must|has to|should> <end|finish> with "{p}"', '"{p}" <comes last|goes last|stands at the end|is how you end> in <every|each> <answer|reply>.',
            'Rule: <end|finish> with "{p}"', '<Write|Put|Use> "{p}" <at the end|at the close> of <every|each> <answer|reply|response>.', 'You <never|do not> stop without <saying "{p}"|"{p}">.', 'First <the answer|answer|reply> and then <write|say> "{p}"', 'All <answers|replies> <end|finish> with "{p}"']
PERSONA = {
    'name': ['<Tell me|Say> who you are.', 'With whom do I <talk|speak>?', '<Your name|The name>, please?', 'What <name|names> do you have?'], 'job': ['<What|Which> job do you have?', 'What do you work as?', 'Tell me <your job|what you do>.', 'What is your <trade|work>?'],
    'town': ['<What town|What place> is your home?', 'Tell me where you live.', 'Where are you <at home|from>?'], 'food': ['<Favourite food|Your food>?', 'Tell me what you like to eat.', 'What do you <eat with joy|enjoy>?'],
    'colour': ['<Favourite colour|Your colour>?', 'Tell me the colour you like.', '<What|Which> colour is best?'], 'friend': ['<Tell me|Say> who your friend is.', 'Name your friend.', 'Who is close to you?'], 'age': ['Your age?', 'Tell me how old you are.', 'What age are you?']}
WHICH_LINE = ['<Add|Give|Write|Tell> the <line|line number|number of the line>.', '<With|And> the <line|number of the line>, please.', '<Cite|Quote|Point to> the line.', 'Each answer <tells|has|gives> its line.', 'Which line? <Say it too.|Add it.>']
NO_LINE = ['<When|If> <it is missing|you find nothing|there is no line for it|the lines do not tell>, <answer|reply|say|write> "{x}"', 'No line<:| means> "{x}"', 'Not in the lines? <Answer|Reply|Say> "{x}"']
TOPICS = 'refunds|delivery|parking|opening hours|discounts|the weather|prices|jobs|repairs|gift cards|the manager|politics|opening days|free samples|returns|wages|holidays|the news|football|taxes|music|money back'.split('|')
HOUSE_RULES = ['If someone asks about {c}, say "{p}"', 'When a guest asks about {c}, answer "{p}"', 'Questions about {c} get the answer "{p}"', 'About {c} you say only "{p}"', 'If a customer mentions {c}, reply "{p}"', 'For {c} the answer is "{p}"', 'Asked about {c}? Say "{p}"',
               'Whenever {c} comes up, say "{p}"', 'Answer every question about {c} with "{p}"', 'Should anyone ask about {c}, tell them "{p}"', '{c}: say "{p}"', 'On {c} our answer is always "{p}"', 'People who ask about {c} hear "{p}"', 'Reply "{p}" to all questions about {c}.', 'Use the words "{p}" when you are asked about {c}.',
               'If the talk turns to {c}, answer "{p}"', 'You answer "{p}" if the question is about {c}.', 'Say "{p}" when somebody wants to know about {c}.', 'In case of {c}: "{p}"', 'Somebody asks about {c}: you say "{p}"', 'The user may ask about {c}. Then say "{p}"', 'Our line on {c} is "{p}"', 'With {c} it is simple: "{p}"',
               'Tell everyone who asks about {c}: "{p}"', 'Only one answer is allowed about {c}: "{p}"', 'We say "{p}" about {c}.', '"{p}" is what you say about {c}.', 'If it is about {c}, then "{p}"', 'Keep to "{p}" whenever you hear of {c}.', 'Nothing but "{p}" is said about {c}.']
NOT_ABOUT = ['<You do not|You never|You must not> <speak|talk|chat> about {c}.', '<No talk|Not a word> about {c}.', '<Keep silent|Be silent> about {c}.', 'We do not discuss {c}.']
CALL_THEM = ['<Address|Greet|Name> <the user|everyone|people|all users> <as "{n}"|with "{n}">.', 'Every answer <calls|names> the user "{n}".', '<The user|Everybody|Each guest> is "{n}" to you.']
ABOUT = [KNOW + 'what <is the rule for|do you know about|can you tell me about|is there to say about|is new with> {c}?', 'I want to <talk|ask|know|hear something> about {c}.', '<And|So what about|How about> {c}?', '{c}<?|, please.|: what do you say?>', 'Please <talk|say something|explain> about {c}.']
