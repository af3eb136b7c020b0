/** Seconds since the epoch. */
export function nowSeconds(): number {
  return (performance.timeOrigin + performance.now()) / 1000;
}

const UNITS = [
  { name: 'd', seconds: 86_400 },
  { name: 'h', seconds: 3_600 },
  { name: 'min', seconds: 60 },
  { name: 's', seconds: 1 },
] as const;

/** A length of time in its two largest units: `4 min 58 s`. */
export function toDuration(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  const words: string[] = [];
  for (const { name, seconds: size } of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) words.push(`${count} ${name}`);
  }
  return words.slice(0, 2).join(' ') || '0 s';
}

const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** A NumericDate for people, in the browser's time zone. */
export function toDateText(at: number): string {
  const date = new Date(at * 1000);
  return Number.isNaN(date.getTime()) ? 'not a date' : dateFormat.format(date);
}

/** `expires in 4 min 58 s`, or `expired 3 s ago`. */
export function toExpiryText(expiresAt: number, now = nowSeconds()): string {
  const left = expiresAt - now;
  return left > 0 ? `expires in ${toDuration(left)}` : `expired ${toDuration(-left)} ago`;
}

/** Keeps every `<time data-expires-at>` on the page up to date. */
export function startCountdowns(): void {
  setInterval(() => {
    for (const element of document.querySelectorAll<HTMLElement>('[data-expires-at]')) {
      const text = toExpiryText(Number(element.dataset['expiresAt']));
      element.classList.toggle('is-over', text.startsWith('expired'));
      if (element.textContent !== text) element.textContent = text;
    }
  }, 1_000);
}
