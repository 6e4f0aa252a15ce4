// `strftime_now`: the time of day as a template asks for it, in the words of Python's C locale, whatever the language of this machine.
// Not here: the rest of what templates can call (render.ts).

const MONTHS = 'January,February,March,April,May,June,July,August,September,October,November,December'.split(
  ',',
);
const DAYS = 'Sunday,Monday,Tuesday,Wednesday,Thursday,Friday,Saturday'.split(',');

const two = (n: number) => String(n).padStart(2, '0');

function dayOfYear(now: Date): number {
  const start = Date.UTC(now.getFullYear(), 0, 1);
  return Math.round((Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - start) / 86_400_000) + 1;
}

const DIRECTIVES: Readonly<Record<string, (now: Date) => string>> = {
  a: (now) => (DAYS[now.getDay()] as string).slice(0, 3),
  A: (now) => DAYS[now.getDay()] as string,
  b: (now) => (MONTHS[now.getMonth()] as string).slice(0, 3),
  h: (now) => (MONTHS[now.getMonth()] as string).slice(0, 3),
  B: (now) => MONTHS[now.getMonth()] as string,
  d: (now) => two(now.getDate()),
  e: (now) => String(now.getDate()).padStart(2),
  D: (now) => strftime(now, '%m/%d/%y'),
  F: (now) => strftime(now, '%Y-%m-%d'),
  H: (now) => two(now.getHours()),
  I: (now) => two(now.getHours() % 12 || 12),
  j: (now) => String(dayOfYear(now)).padStart(3, '0'),
  m: (now) => two(now.getMonth() + 1),
  M: (now) => two(now.getMinutes()),
  p: (now) => (now.getHours() < 12 ? 'AM' : 'PM'),
  S: (now) => two(now.getSeconds()),
  T: (now) => strftime(now, '%H:%M:%S'),
  R: (now) => strftime(now, '%H:%M'),
  u: (now) => String(now.getDay() || 7),
  w: (now) => String(now.getDay()),
  y: (now) => two(now.getFullYear() % 100),
  Y: (now) => String(now.getFullYear()),
  n: () => '\n',
  t: () => '\t',
  '%': () => '%',
};

/** Python's `datetime.strftime`; `%-d` leaves out the zero in front. What is not known stays as it is. */
export function strftime(now: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, minus: string, letter: string) => {
    const written = Object.hasOwn(DIRECTIVES, letter) ? DIRECTIVES[letter]?.(now) : undefined;
    if (written === undefined) return whole;
    return minus === '' ? written : written.replace(/^[0 ]+(?=\d)/, '');
  });
}
