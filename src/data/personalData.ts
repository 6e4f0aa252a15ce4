// What looks like personal data or a secret in a text: e-mail addresses, keys, card numbers, account numbers, phone numbers.
// Not here: what is reported of it (dataChecks.ts). Nothing is taken out: it is a look, and a look can err both ways.

export interface PersonalKind {
  id: 'email' | 'secret_key' | 'card_number' | 'iban' | 'phone';
  label: string;
  /** Of what was found, after "look like". */
  what: string;
  /** The first of it in a text; null where there is none. */
  find(text: string): string | null;
}

/** Characters before and after an @ that can belong to an address (RFC 5321, 4.5.3.1). */
const LOCAL = 64;
const DOMAIN = 255;

/** Around each @, so that a long text without one costs nothing. Domains kept for examples (RFC 2606) are nobody's. */
function findEmail(text: string): string | null {
  for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
    const before = /[\p{L}\p{N}._%+-]+$/u.exec(text.slice(Math.max(0, at - LOCAL), at))?.[0];
    const after = /^[\p{L}\p{N}-]+(\.[\p{L}\p{N}-]+)*\.\p{L}{2,24}/u.exec(
      text.slice(at + 1, at + 1 + DOMAIN),
    )?.[0];
    if (!before || !after || /(^|\.)example(\.|$)|\.(test|invalid|localhost)$/i.test(after)) continue;
    return `${before}@${after}`;
  }
  return null;
}

/** As their makers write them: OpenAI, GitHub, GitLab, Amazon, Google, Slack, Hugging Face, Stripe, JSON web tokens, private keys. */
const KEYS =
  /\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|xox[abprs]-[0-9A-Za-z-]{10,}|hf_[A-Za-z0-9]{30,}|[rs]k_(?:live|test)_[0-9A-Za-z]{20,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----/;

/** The check digit of card numbers (ISO/IEC 7812-1, annex B). */
function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    const doubled = i % 2 === 1 ? 2 * digit : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

function findCard(text: string): string | null {
  for (const [found] of text.matchAll(/(?<!\d[ .,-]?)[2-6]\d{3}(?:[ -]?\d{2,6}){2,4}(?![ .,-]?\d)/g)) {
    const digits = found.replaceAll(/\D/g, '');
    if (digits.length < 13 || digits.length > 19 || /^(\d)\1*$/.test(digits)) continue;
    if (passesLuhn(digits)) return found;
  }
  return null;
}

/** The check number of account numbers: modulo 97 it is 1 (ISO 13616-1). */
function passesMod97(iban: string): boolean {
  const moved = iban.slice(4) + iban.slice(0, 4);
  let rest = 0;
  for (const letter of moved) {
    const value = Number.parseInt(letter, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}

function findIban(text: string): string | null {
  for (const [found] of text.matchAll(/\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b/g)) {
    // A word in capitals may follow it.
    for (let end = found.length; end >= 15; end = found.lastIndexOf(' ', end - 1)) {
      const number = found.slice(0, end).replaceAll(' ', '');
      if (number.length >= 15 && number.length <= 34 && passesMod97(number)) return found.slice(0, end);
    }
  }
  return null;
}

/** With a country code; an area in brackets; three groups as in North America; an area that begins with 0. */
const PHONES: readonly RegExp[] = [
  /(?<![\d+])\+[1-9]\d{0,2}(?:[ ./-]?\(?\d{1,5}\)?){2,5}(?!\d)/g,
  /(?<!\d)\(\d{2,5}\) ?\d{3,4}(?:[ -]?\d{2,4}){1,2}(?!\d)/g,
  /(?<!\d[ .-]?)\d{3}[-.]\d{3}[-.]\d{4}(?![ .-]?\d)/g,
  /(?<!\d[ .,:/-]?)0\d{2,4}[ /-]\d{3,8}(?:[ -]?\d{2,4}){0,2}(?![ .,:/-]?\d)/g,
];

function findPhone(text: string): string | null {
  for (const pattern of PHONES) {
    for (const [found] of text.matchAll(pattern)) {
      const digits = found.replaceAll(/\D/g, '').length;
      if (digits >= 8 && digits <= 15) return found;
    }
  }
  return null;
}

const withDigits = (find: (text: string) => string | null) => (text: string) =>
  /\d{2}/.test(text) ? find(text) : null;

export const PERSONAL_KINDS: readonly PersonalKind[] = [
  { id: 'email', label: 'E-mail addresses', what: 'an e-mail address', find: findEmail },
  {
    id: 'secret_key',
    label: 'Secret keys',
    what: 'a secret key',
    find: (text) => KEYS.exec(text)?.[0] ?? null,
  },
  { id: 'card_number', label: 'Card numbers', what: 'a card number', find: withDigits(findCard) },
  { id: 'iban', label: 'Bank accounts', what: 'a bank account (IBAN)', find: withDigits(findIban) },
  { id: 'phone', label: 'Phone numbers', what: 'a phone number', find: withDigits(findPhone) },
];
