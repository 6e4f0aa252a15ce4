// Single-byte and East Asian text encodings: their names, how they decode, and which languages are written in them.
// Not here: UTF-8 and UTF-16 (textEncoding.ts), telling which of these a file is in (encodingGuess.ts).

/** How often the letters of a language occur in it; only those beyond A–Z matter. */
export interface Language {
  /** Letters that are not ASCII, the most frequent first. */
  letters: string;
  /** Frequent words without such letters, for languages in the Latin script. */
  words: ReadonlySet<string>;
  /** The letters are at the end of words. */
  atEnd?: true;
}

export interface TextEncodingEntry {
  /** What TextDecoder calls it, or our own name where it has none. */
  label: string;
  /** What people call it. */
  name: string;
  /** Other names that people write. */
  aliases?: readonly string[];
  /** The characters of bytes 0x80 to 0xFF, where TextDecoder does not know the encoding. */
  table?: string;
  /** Bytes above 0x7F may stand for half a character. */
  multibyte?: true;
  /** Languages it is told by; an encoding without any is never guessed, but can be chosen. */
  languages: readonly Language[];
  /** How much rarer such files are than Windows-1252 ones, as a natural logarithm: 0 or below. */
  rarity: number;
}

const of = (letters: string, words = ''): Language => ({ letters, words: new Set(words.split(' ')) });
const atEnd = (language: Language): Language => ({ ...language, atEnd: true });

// Orders of frequency are rounded from common knowledge of each language's spelling; only the order is used.
const WESTERN = [
  of('éïèñöüçêáóãåøä', 'the and of is to in what you it that for with'), // English, in borrowed words
  of('üäöß', 'der die und ist das nicht ein eine ich sie mit wie wir auf den von zu'), // German
  of('éèàêçùôûîâœïëÿæ', 'le la les des est une et que dans pour il elle vous du en un qui'), // French
  of('óíáéñúü', 'el la los que de es en una por con las se un del'), // Spanish
  of('ãçáéíóêõúâàôü', 'os que de um uma para com em do da no na por as se'), // Portuguese
  atEnd(of('èàùòìéî', 'il di che un una per con sono della gli la le si del')), // Italian
  of('ëéïöóüèê', 'de het een van en is dat ik niet met op te zijn'), // Dutch
  of('åøæéöôò', 'og er det en jeg ikke til af av som med han'), // Danish, Norwegian
  of('äöåéü', 'och det att en jag inte som till av med han ja on ei se'), // Swedish, Finnish
  of('áíðéóöþúæý', 'og er ekki sem til en um var hann'), // Icelandic
  of('àóéèíçòïúü', 'el la els que de una amb per les del'), // Catalan
];
const CENTRAL = [
  of('łąęóżśćńź', 'jest nie na to jak do co jej ma za po'), // Polish
  of('íáéěřčžšýůúňóťď', 'je na se to jak co si do za ve by'), // Czech
  of('íáéčžšýúťľňôďäóĺŕ', 'je na sa to ako si do za vo by som'), // Slovak
  of('áéöóőüíúű', 'az nem van hogy egy is mi ez ki de'), // Hungarian
  of('ăîţşâ', 'este de la un care nu ce cu din mai'), // Romanian
  of('čšžćđ', 'je se na da li su od za ne bi'), // Croatian, Slovenian, Bosnian
];
const CYRILLIC = [
  of('оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё'), // Russian
  of('оанііитвресклудмпязьбгчйхжшюцєїщфґ'), // Ukrainian
  of('аиоетнрсвлкдпмзябъугчжщхцшфюйь'), // Bulgarian
  of('аиоенсртјувкдмплгзбчљшњцћжхђфџ'), // Serbian
];
const GREEK = [of('αοιετσνηυρπκμλςωόίάδγέχήθφβύώξζψϊϋ')];

/** Code page 850 from byte 0x80 on (Unicode's CP850.TXT); TextDecoder has no DOS code page but that of Russia. */
const CP850 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤' +
  'ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00AD±‗¾¶§÷¸°¨·¹³²■\u00A0';

const HAN_SIMPLIFIED =
  '的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于心学么之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行意动方期它头经长儿回位分爱老因很给名法间知世什两次使身者被高已亲其进此话常与活正感';
const HAN_TRADITIONAL =
  '的一是了我不人在他有這個上們來到時大地為子中你說生國年著就那和要她出也得裡後自以會家可下而過天去能對小多然於心學麼之都好看起發當沒成只如事把還用第樣道想作種開美總從無情己面最女但現前些所同日手又行意動方期它頭經長兒回位分愛老因很給名法間知世什兩次使身者被高已親其進此話常與活正感';
const KANA =
  'のいにはをたるとがしでてなっれらもすりこだまさきめくあけどろえよつやわちみせうーんそびおほじばかべへげむごユずトスンルリアイコドラテレマカタフジクサシメロプキオナチニハパウグバブネビミムデダセエモツソヤケゲホザボポペワヨュョャ';
const KANJI =
  '日一人年大国会中本出時行見月分後生前間上東今金自学高事小下私手言気話子何明書読海女男食水語新思場入町部長同庭駅木白';
const HANGUL =
  '이다는에을의가고한지하을로사를도서은기어자나리인시대수있아해그라들것과보정일부게스전으원어주여만없면구제상장동오우조모비문화국미소신유경관성안습니까내게간할더저요세했었와되니때말';

/** Every encoding that can be chosen beside UTF-8 and UTF-16; the order is that of lists shown to the user. */
export const ENCODINGS: readonly TextEncodingEntry[] = [
  { label: 'windows-1252', name: 'Windows-1252', languages: WESTERN, rarity: 0 },
  { label: 'windows-1250', name: 'Windows-1250', languages: CENTRAL, rarity: -1 },
  { label: 'windows-1251', name: 'Windows-1251', languages: CYRILLIC, rarity: -1 },
  { label: 'macintosh', name: 'Mac Roman', aliases: ['macroman'], languages: WESTERN, rarity: -1.5 },
  {
    label: 'cp850',
    name: 'DOS code page 850',
    aliases: ['ibm850', '850'],
    table: CP850,
    languages: WESTERN,
    rarity: -2.5,
  },
  {
    label: 'gb18030',
    aliases: ['gbk', 'gb2312', 'cp936'],
    name: 'GB18030',
    multibyte: true,
    languages: [of(HAN_SIMPLIFIED)],
    rarity: -1,
  },
  { label: 'big5', name: 'Big5', multibyte: true, languages: [of(HAN_TRADITIONAL)], rarity: -1.5 },
  {
    label: 'shift_jis',
    aliases: ['cp932'],
    name: 'Shift JIS',
    multibyte: true,
    languages: [of(KANA + KANJI)],
    rarity: -1,
  },
  { label: 'euc-jp', name: 'EUC-JP', multibyte: true, languages: [of(KANA + KANJI)], rarity: -2 },
  {
    label: 'euc-kr',
    name: 'EUC-KR',
    aliases: ['cp949', 'uhc'],
    multibyte: true,
    languages: [of(HANGUL)],
    rarity: -1,
  },
  { label: 'windows-1253', name: 'Windows-1253', languages: GREEK, rarity: -1.5 },
  {
    label: 'windows-1254',
    name: 'Windows-1254',
    languages: [of('ıüşğöçİâî', 'bir ve bu ne da de mi ile')],
    rarity: -1.5,
  },
  {
    label: 'windows-1255',
    name: 'Windows-1255',
    languages: [of('יוהלארתבשמנדחקפםעכטןזסגצךףץ')],
    rarity: -1.5,
  },
  {
    label: 'windows-1256',
    name: 'Windows-1256',
    languages: [of('اليمونرتبةعدسفهكقأحجشطصخىإذزضئثغءؤظآپچگژ')],
    rarity: -1.5,
  },
  {
    label: 'windows-1257',
    name: 'Windows-1257',
    languages: [
      of('ėųšūįžčąę', 'yra ir kaip ar kad su tai'),
      of('āīēšūņļžčķģ', 'ir un kas ar par no ka'),
      of('äõüöšž', 'on ja ei kui see ma ta'),
    ],
    rarity: -2,
  },
  {
    label: 'windows-874',
    name: 'Windows-874',
    languages: [of('านรอกเง่มยลว้ดทสตีั ะปไหคแพิขชโบจืุูใ์ำผถ็ณฐฉธญภศซฟๆ')],
    rarity: -1.5,
  },
  { label: 'iso-8859-2', name: 'ISO 8859-2', languages: CENTRAL, rarity: -2.5 },
  { label: 'koi8-u', name: 'KOI8', aliases: ['koi8', 'koi8-r'], languages: CYRILLIC, rarity: -2.5 },
  { label: 'ibm866', name: 'DOS code page 866', aliases: ['cp866'], languages: CYRILLIC, rarity: -2.5 },
  { label: 'x-mac-cyrillic', name: 'Mac Cyrillic', languages: CYRILLIC, rarity: -3 },
  { label: 'iso-8859-5', name: 'ISO 8859-5', languages: CYRILLIC, rarity: -3 },
  { label: 'iso-8859-7', name: 'ISO 8859-7', languages: GREEK, rarity: -3 },
  { label: 'windows-1258', name: 'Windows-1258', languages: [], rarity: -3 },
  { label: 'iso-8859-15', name: 'ISO 8859-15', languages: [], rarity: -3 },
];

/** Windows-1252 at 0x80 to 0x9F (0 = unassigned); some versions of Node decode these bytes as Latin-1 control characters. */
const WINDOWS_1252_C1 = '€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ';

/** The encoding of this name, as TextDecoder or people spell it; null when it is not in the list. UTF-8 and UTF-16 are not. */
export function encodingOf(name: string): TextEncodingEntry | null {
  const plain = name.trim().toLowerCase();
  const own = ENCODINGS.find(
    (e) => e.label === plain || e.name.toLowerCase() === plain || e.aliases?.includes(plain),
  );
  if (own) return own;
  try {
    const label = new TextDecoder(plain).encoding;
    return ENCODINGS.find((e) => e.label === label) ?? null;
  } catch {
    return null;
  }
}

/** Bytes that are looked up at a time; the copy in UTF-16 takes twice that. */
const CHUNK = 1 << 20;

/** U+FFFD stands where the bytes mean nothing in this encoding. */
export function decodeAs({ label, table }: TextEncodingEntry, bytes: Uint8Array): string {
  if (table !== undefined) {
    const utf16 = new TextDecoder('utf-16le');
    let text = '';
    for (let start = 0; start < bytes.length; start += CHUNK) {
      const units = Uint16Array.from(bytes.subarray(start, start + CHUNK), (byte) =>
        byte < 0x80 ? byte : table.charCodeAt(byte - 0x80),
      );
      text += utf16.decode(units);
    }
    return text;
  }
  const text = new TextDecoder(label).decode(bytes);
  if (label !== 'windows-1252') return text;
  return text.replace(/[\u0080-\u009f]/g, (control) => {
    const known = WINDOWS_1252_C1[control.charCodeAt(0) - 0x80] as string;
    return known === '\0' ? control : known;
  });
}
