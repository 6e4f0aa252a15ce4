// Bytes → text: what is in UTF-8 comes back as it is, older encodings are told and converted, what cannot be read is refused with a reason.
// Not here: what the text says (data.test.ts), the command line's option (cli.test.ts).

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readDataBytes, readDataFile } from '../src/data/dataFile';
import { contentHash } from '../src/data/sha256';
import { decodeAs, encodingOf, type TextEncodingEntry } from '../src/data/text/encodings';
import { type DecodedText, decodeText, ENCODING_NAMES, isEncoding } from '../src/data/text/textEncoding';

const utf8 = (text: string) => new TextEncoder().encode(text);
const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
/** One byte a character. */
const raw = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const codes = (decoded: DecodedText) => decoded.issues.map((issue) => issue.code);
const said = (decoded: DecodedText) => decoded.issues.map((i) => `${i.message} ${i.fix}`).join('\n');

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Encodes in a single-byte encoding, by turning its table round. */
function encode(label: string, text: string): Uint8Array {
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const characters = [...decodeAs(encodingOf(label) as TextEncodingEntry, all)];
  return Uint8Array.from(text, (c) => {
    const byte = characters.indexOf(c);
    if (byte < 0) throw new Error(`${c} is not in ${label}`);
    return byte;
  });
}

function utf16(text: string, littleEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(2 * text.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), littleEndian);
  return bytes;
}

/** Chat rows as a file holds them: most of it is ASCII. */
const rows = (sentences: readonly string[]) =>
  sentences
    .map((sentence, i) => {
      const answer = sentences[(i + 1) % sentences.length] as string;
      return `{"messages": [{"role": "user", "content": "${sentence}"}, {"role": "assistant", "content": "${answer}"}]}\n`;
    })
    .join('');

const LANGUAGES: Record<string, readonly string[]> = {
  German: [
    'Das Fenster öffnet sich nicht.',
    'Für zwölf Gäste brauchen wir größere Töpfe.',
    'Heißer Tee hilft gegen die Kälte.',
    'Übrigens fährt der Zug um fünf.',
    'Sie hört süße Klänge aus der Küche.',
    'Der Schlüssel hängt über der Tür.',
  ],
  French: [
    'La fenêtre ne s’ouvre pas.',
    'Le boulanger a déjà fermé.',
    'Où as-tu laissé ta clé ?',
    'Le théâtre est à côté de la mairie.',
    'Ça brûle, ne touche pas au four à gâteaux.',
    'Elle a reçu une lettre très brève.',
  ],
  Spanish: [
    'La ventana no abre, ¿verdad?',
    'El camión salió después de la tormenta.',
    'Mi compañero cocinó un jabalí.',
    'Allí crecen árboles de limón.',
    '¡Qué frío hace en la montaña!',
    'Ningún músico llegó al sábado.',
  ],
  Danish: [
    'Vinduet kan ikke åbnes.',
    'Køkkenet er på første sal.',
    'Hun købte æbler og løg i går.',
    'Bådene sejler ud på søen.',
  ],
  Polish: [
    'Okno się nie otwiera.',
    'Piekarz już zamknął sklep, więc wracamy.',
    'Gdzie leżą moje klucze, kochanie? Tuż obok książki.',
    'Źle śpię, gdy wieje wiatr, a księżyc świeci.',
    'Łódka płynie przez jezioro.',
  ],
  Czech: [
    'Okno se nedá otevřít.',
    'Pekař už zavřel, přijď zítra.',
    'Kde ležíš, můj malý ježku?',
    'Dědeček čeká na vlak ve městě.',
    'Šálek kávy stojí na stole.',
  ],
  Hungarian: [
    'Az ablak nem nyílik ki.',
    'A pék már bezárt, jöjjön később.',
    'Hová tűnt az őszi köd a tó fölül?',
    'Szükségünk van egy új kulcsra.',
  ],
  Russian: [
    'Окно не открывается.',
    'Пекарь уже закрыл магазин.',
    'Где лежат мои ключи?',
    'Поезд отходит в пять часов.',
    'Она любит горячий чай с лимоном.',
  ],
  Greek: [
    'Το παράθυρο δεν ανοίγει.',
    'Πού είναι τα κλειδιά μου;',
    'Το τρένο φεύγει στις πέντε.',
    'Κάνει κρύο απόψε.',
  ],
  Turkish: [
    'Pencere açılmıyor.',
    'Anahtarlarım nerede, biliyor musun?',
    'Öğleden sonra yağmur yağacak.',
    'Şimdi çay içiyoruz.',
  ],
};

describe('older encodings', () => {
  it.each<[string, string]>([
    ['German', 'windows-1252'],
    ['French', 'windows-1252'],
    ['Spanish', 'windows-1252'],
    ['Danish', 'windows-1252'],
    ['German', 'macintosh'],
    ['French', 'macintosh'],
    ['Spanish', 'macintosh'],
    ['German', 'cp850'],
    ['Polish', 'windows-1250'],
    ['Czech', 'windows-1250'],
    ['Hungarian', 'windows-1250'],
    ['Russian', 'windows-1251'],
    ['Russian', 'koi8-u'],
    ['Russian', 'ibm866'],
    ['Greek', 'windows-1253'],
    ['Turkish', 'windows-1254'],
  ])('%s in %s is converted and said, whichever rows there are', (language, label) => {
    const sentences = LANGUAGES[language] as readonly string[];
    fc.assert(
      fc.property(fc.shuffledSubarray([...sentences], { minLength: 3 }), fc.boolean(), (chosen, asTable) => {
        const text = asTable
          ? `prompt;completion\r\n${chosen.map((s) => `"${s}";ok`).join('\r\n')}`
          : rows(chosen);
        const decoded = decodeText(encode(label, text));
        expect(decoded.text).toBe(text);
        expect(decoded.encoding).toBe(label);
        expect(codes(decoded)).toEqual(['encoding_converted']);
        expect(decoded.issues[0]).toMatchObject({ severity: 'warning', line: 0 });
        // Words to check it by, as they stand in the text.
        const shown = [...(decoded.issues[0]?.message.matchAll(/“([^”]+)”/g) ?? [])].map(
          (m) => m[1] as string,
        );
        expect(shown.length).toBeGreaterThan(0);
        for (const word of shown) expect(text).toContain(word);
        expect(decoded.issues[0]?.fix).toContain('--encoding');
      }),
      { numRuns: 40 },
    );
  });

  // Bytes made by Python's codecs.
  it.each<[string, string, string]>([
    [
      'gb18030',
      '最近的车站在哪里？\n谢谢，我很好。\n女孩在花园里看书。',
      'd7eebdfcb5c4b3b5d5bed4dac4c4c0efa3bf0ad0bbd0bba3acced2badcbac3a1a30ac5aebaa2d4dabba8d4b0c0efbfb4cae9a1a3',
    ],
    [
      'big5',
      '最近的車站在哪裡？\n謝謝，我很好。\n女孩在花園裡看書。',
      'b3ccaaf1aabaa8aeafb8a662adfeb8cca1480ac1c2c1c2a141a7daabdca66ea1430aa46babc4a662aae1b6e9b8ccacddaed1a143',
    ],
    [
      'shift_jis',
      '駅はどこですか。\nありがとう、元気です。\n女の子が庭で本を読んでいます。',
      '897782cd82c782b182c582b782a981420a82a082e882aa82c682a481418cb38b4382c582b781420a8f9782cc8e7182aa92eb82c5967b82f093c782f182c582a282dc82b78142',
    ],
    [
      'euc-jp',
      '駅はどこですか。\nありがとう、元気です。\n女の子が庭で本を読んでいます。',
      'b1d8a4cfa4c9a4b3a4c7a4b9a4aba1a30aa4a2a4eaa4aca4c8a4a6a1a2b8b5b5a4a4c7a4b9a1a30abdf7a4cebbd2a4acc4eda4c7cbdca4f2c6c9a4f3a4c7a4a4a4dea4b9a1a3',
    ],
    [
      'euc-kr',
      '가장 가까운 역이 어디입니까?\n감사합니다, 잘 지냅니다.\n소녀가 정원에서 책을 읽습니다.',
      'b0a1c0e520b0a1b1eebfee20bfaac0cc20beeeb5f0c0d4b4cfb1ee3f0ab0a8bbe7c7d5b4cfb4d92c20c0df20c1f6b3c0b4cfb4d92e0abcd2b3e0b0a120c1a4bff8bfa1bcad20c3a5c0bb20c0d0bdc0b4cfb4d92e',
    ],
    [
      'iso-2022-jp',
      '駅はどこですか。\n元気です。',
      '1b24423158244f2449243324472439242b21231b28420a1b2442383535242447243921231b2842',
    ],
  ])('%s is told', (label, text, hex) => {
    const decoded = decodeText(bytesOf(hex));
    expect(decoded.text).toBe(text);
    expect(decoded.encoding).toBe(label);
    expect(codes(decoded)).toEqual(['encoding_converted']);
  });

  it('reads quotation marks, dashes and the euro sign of Windows-1252, which some versions of Node get wrong', () => {
    const decoded = decodeText(raw('It\x92s \x93quoted\x94 \x96 for 5 \x80\x85 and don\x92t.'));
    expect(decoded.text).toBe('It’s “quoted” – for 5 €… and don’t.');
    expect(decoded.encoding).toBe('windows-1252');
  });

  it('detects the encoding of a file of few words by the language around them', () => {
    const around = 'What is the name of this place, and what do you think of it?\n'.repeat(3);
    for (const word of ['Caf\xe9', 'na\xefve', 'S\xe3o Paulo', 'jalape\xf1o', 'Malm\xf6']) {
      const decoded = decodeText(raw(`${around}${word}\n`));
      expect(decoded.encoding, word).toBe('windows-1252');
    }
  });

  it('refuses an encoding that cannot be detected, and shows how each candidate reads', () => {
    const decoded = decodeText(raw('{"prompt": "x", "completion": "bun\xe3"}\n'));
    expect(decoded.text).toBeNull();
    expect(codes(decoded)).toEqual(['encoding_unknown']);
    expect(decoded.issues[0]).toMatchObject({ severity: 'error', line: 0 });
    expect(said(decoded)).toMatch(/Windows-1252 reads “bunã”/);
    expect(said(decoded)).toMatch(/Windows-1250 reads “bună”/);
    expect(decodeText(raw('{"prompt": "x", "completion": "bun\xe3"}\n'), 'cp1252').text).toContain('bunã');
    expect(decodeText(raw('{"prompt": "x", "completion": "bun\xe3"}\n'), 'cp1252').issues).toEqual([]);
  });

  it('reads noise as nothing', () => {
    const noise = Uint8Array.from({ length: 4000 }, (_, i) => 0x80 + ((i * i * 31 + i * 7) % 128));
    expect(codes(decodeText(noise))).toEqual(['encoding_unknown']);
  });
});

describe('an encoding that was named', () => {
  it('is known by its usual names, and used', () => {
    for (const name of [
      ...ENCODING_NAMES,
      'latin1',
      'CP1252',
      'cp1251',
      'sjis',
      'gbk',
      'Mac Roman',
      'UTF8',
      'utf-16',
      'cp949',
    ]) {
      expect(isEncoding(name), name).toBe(true);
      expect(decodeText(utf8('plains'), name).text, name).not.toBeNull();
    }
    expect(isEncoding('klingon')).toBe(false);
    expect(decodeText(encode('windows-1250', 'proszę'), 'windows-1250').text).toBe('proszę');
    expect(decodeText(bytesOf('8194e184'), 'ibm850').text).toBe('üößä');
  });

  it('is refused where its bytes mean nothing, with the lines', () => {
    const decoded = decodeText(raw('one\ngr\xf6\xdfer\nW\xf6rter\n'), 'utf-8');
    expect(codes(decoded)).toEqual(['encoding_mismatch']);
    expect(said(decoded)).toContain('lines 2 and 3');
  });

  it('is overruled by a byte order mark, and that is reported', () => {
    const decoded = decodeText(join(raw('\xff\xfe'), utf16('Wörter', true)), 'windows-1252');
    expect(decoded.text).toBe('Wörter');
    expect(codes(decoded)).toContain('encoding_ignored');
  });
});

describe('UTF-8', () => {
  /** Text without what is said on purpose: lost characters, letters encoded twice, NUL. */
  const unremarkable = fc
    .string({ unit: 'binary', maxLength: 200 })
    .filter(
      (text) =>
        !/\p{Cs}/u.test(text) &&
        !/[\uFFFD]|[\u00C2-\u00F4√‚РСГВв][^\0-\x7f]/u.test(text) &&
        !/^(\uFEFF|\uFFFE)/.test(text) &&
        !text.includes('\0') &&
        !text.includes('\u001b'),
    );

  it('is read unchanged, without an issue', () => {
    fc.assert(
      fc.property(unremarkable, (text) => {
        expect(decodeText(utf8(text))).toEqual({ text, encoding: 'utf-8', issues: [] });
      }),
      { numRuns: 2000 },
    );
    for (const [language, sentences] of Object.entries(LANGUAGES)) {
      const text = rows(sentences);
      expect(decodeText(utf8(text)), language).toEqual({ text, encoding: 'utf-8', issues: [] });
    }
  });

  it.each([
    'VOILÀ LA FAÇADE, «MAÇû',
    'Il est déjà là : « voilà » dit-il.',
    'IRMÃO, SÃO JOÃO, MAÇÃ',
    'CÂMARA «Â»',
    'the area is 2√πr and √2',
    'РИМ, СРГ, РСФСР и ГВС',
    'naïve café, jalapeño, Ångström, Ærø',
    '日本語、中文、한국어 – “quoted” … €5',
  ])('“%s” is no text that was encoded twice', (text) => {
    expect(decodeText(utf8(text.replaceAll('û', 'Ã»'))).issues.map((i) => i.code)).toEqual([]);
  });

  it('keeps its byte order mark for the parsers, which report it', async () => {
    const file = await readDataBytes('rows.jsonl', utf8(`\uFEFF${rows(LANGUAGES.German as string[])}`));
    expect(file.examples).toHaveLength(6);
    expect(file.issues.map((i) => i.code)).toContain('bom_removed');
  });
});

describe('UTF-16', () => {
  const text = rows(LANGUAGES.Polish as readonly string[]);

  it.each([true, false])('with and without its mark, little-endian %s', (littleEndian) => {
    const bytes = utf16(text, littleEndian);
    const mark = utf16('\uFEFF', littleEndian);
    for (const file of [bytes, join(mark, bytes)]) {
      const decoded = decodeText(file);
      expect(decoded.text).toBe(text);
      expect(codes(decoded)).toEqual(['encoding_converted']);
      expect(said(decoded)).toContain('UTF-16');
    }
  });

  it('that is cut in the middle of a character is reported', () => {
    const decoded = decodeText(join(raw('\xff\xfe'), utf16(text, true).subarray(0, -1)));
    expect(codes(decoded)).toEqual(['encoding_converted', 'damaged_characters']);
  });

  it('UTF-32 is refused by name', () => {
    const decoded = decodeText(raw('\xff\xfe\0\0W\0\0\0'));
    expect(decoded.text).toBeNull();
    expect(said(decoded)).toContain('UTF-32');
  });
});

describe('a file that is UTF-8 in most places', () => {
  const sentences = LANGUAGES.German as readonly string[];
  const lines = rows(sentences).trimEnd().split('\n');

  it('reads single lines in Windows-1252 as such, and names them', () => {
    fc.assert(
      fc.property(fc.subarray([0, 1, 2, 3, 4, 5], { minLength: 1, maxLength: 5 }), (broken) => {
        const file = join(
          ...lines.map((line, i) =>
            join(broken.includes(i) ? encode('windows-1252', line) : utf8(line), raw('\n')),
          ),
        );
        const decoded = decodeText(file);
        expect(decoded.text).toBe(`${lines.join('\n')}\n`);
        expect(decoded.encoding).toBe('utf-8');
        expect(codes(decoded)).toEqual(['encoding_mixed']);
        expect(said(decoded)).toContain('Windows-1252');
        for (const i of broken) expect(said(decoded)).toMatch(new RegExp(`\\b${i + 1}\\b`));
      }),
    );
  });

  it('reads single bytes between sound characters, and leaves a cut character lost', () => {
    const stray = join(utf8('Größe und W'), raw('\xf6'), utf8('rter über Köln\nsüß\n'));
    expect(decodeText(stray).text).toBe('Größe und Wörter über Köln\nsüß\n');
    expect(codes(decodeText(stray))).toEqual(['encoding_mixed']);
    expect(said(decodeText(stray))).toContain('“Wörter”');

    const cut = join(utf8('"Größe", "M'), raw('\xc3'), utf8('", "Köln für zwölf"\n'));
    expect(decodeText(cut).text).toBe('"Größe", "M\uFFFD", "Köln für zwölf"\n');
    expect(codes(decodeText(cut))).toEqual(['damaged_characters']);
    expect(said(decodeText(cut))).toContain('line 1');
  });

  it('reports where the end of the file cuts a character', () => {
    const whole = utf8(`${lines.join('\n')}\nsüß`);
    const decoded = decodeText(whole.subarray(0, -1));
    expect(decoded.text).toBe(`${lines.join('\n')}\nsü\uFFFD`);
    expect(codes(decoded)).toEqual(['damaged_characters']);
    expect(said(decoded)).toContain('line 7');
  });
});

describe('text that was damaged before', () => {
  it('lost characters are named by their lines', () => {
    const text = 'fine\nW\uFFFDrter\nfine\ngr\uFFFD\uFFFDer\n';
    const decoded = decodeText(utf8(text));
    expect(decoded.text).toBe(text);
    expect(codes(decoded)).toEqual(['damaged_characters']);
    expect(said(decoded)).toContain('lines 2 and 4');
  });

  it.each<[string, string, string]>([
    ['windows-1252', 'Die Wörter größer', 'German'],
    ['windows-1252', 'déjà, l’été', 'French'],
    ['windows-1252', 'książka płynie łódka', 'Polish'],
    ['windows-1252', 'Пекарь уже закрыл', 'Russian'],
    ['macintosh', 'Die Wörter für', 'German'],
    ['windows-1251', 'Пекарь уже закрыл', 'Russian'],
  ])('UTF-8 that was read as %s is said: %s', (label, text) => {
    const twice = decodeAs(encodingOf(label) as TextEncodingEntry, utf8(text));
    const decoded = decodeText(utf8(`plain\n${twice}\n`));
    expect(decoded.text).toBe(`plain\n${twice}\n`);
    expect(codes(decoded)).toEqual(['double_encoded']);
    expect(said(decoded)).toContain('line 2');
    const once = /is “([^”]+)”/.exec(said(decoded))?.[1] as string;
    expect(text).toContain(once);
  });

  it('pasted text is looked at too', async () => {
    const file = await readDataFile('pasted.jsonl', rows(['WÃ¶rter', 'gr\uFFFDer']));
    expect(file.issues.map((i) => i.code)).toEqual(
      expect.arrayContaining(['double_encoded', 'damaged_characters']),
    );
  });
});

describe('files that are no text', () => {
  const zip = (name: string) => `PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0${name}\0\x01\x02`;
  it.each<[string, string]>([
    [zip('xl/workbook.xml'), 'an Excel workbook'],
    [zip('word/document.xml'), 'a Word document'],
    [zip('rows.jsonl'), 'a ZIP archive'],
    ['\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0', 'an old Excel or Word file'],
    ['%PDF-1.7\n%\xe2\xe3\xcf\xd3\n', 'a PDF'],
    ['{\\rtf1\\ansi Hello}', 'a Rich Text document'],
    ['\x1f\x8b\x08\0\0\0\0\0', 'a gzip archive'],
    ['PAR1\x15\x04\x15\x10', 'a Parquet file'],
    ['\x89PNG\r\n\x1a\n\0\0', 'a PNG image'],
    ['SQLite format 3\0\x10\0', 'an SQLite database'],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'a Git LFS pointer'],
  ])('%j is refused by name', (content, name) => {
    const decoded = decodeText(raw(content));
    expect(decoded.text).toBeNull();
    expect(codes(decoded)).toEqual(['binary_file']);
    expect(decoded.issues[0]?.message).toContain(name);
    expect(decoded.issues[0]?.fix).not.toBe('');
  });

  it('NUL bytes are refused, wherever they stand', () => {
    for (const file of [raw('{"prompt": "a"}\n\0\0\0'), raw(`${'{"prompt": "a"}\n'.repeat(20)}\0`)]) {
      expect(codes(decodeText(file))).toEqual(['binary_file']);
      expect(said(decodeText(file))).toContain('NUL');
    }
  });

  it('a refused file has no rows, and the reason is its one issue', async () => {
    const file = await readDataBytes('rows.csv', raw(zip('xl/workbook.xml')));
    expect(file).toMatchObject({ rows: 0, examples: [], encoding: null });
    expect(file.issues.map((i) => i.code)).toEqual(['binary_file']);
  });
});

it('the hash is that of the text which is trained on, whatever the file was in', async () => {
  const text = rows(LANGUAGES.German as readonly string[]);
  const hash = await contentHash(text);
  for (const bytes of [
    utf8(text),
    encode('windows-1252', text),
    encode('macintosh', text),
    utf16(text, true),
  ]) {
    const file = await readDataBytes('rows.jsonl', bytes);
    expect(file.hash).toBe(hash);
    expect(file.examples[1]?.messages[0]?.content).toBe('Für zwölf Gäste brauchen wir größere Töpfe.');
  }
});
