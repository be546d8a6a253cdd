// Words and figures in the reader's language.

function t(key, values = {}) {
  const text = DATA.words[state.lang][key];
  if (text === undefined) throw new Error(`There is no word for ${key}.`);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

const formats = new Map();
function format(kind, options) {
  const key = `${state.lang}${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Intl[kind](state.lang === 'fr' ? 'fr-FR' : 'en-GB', options));
  return formats.get(key);
}

const NONE = '–';
const count = (n) => (n === null || n === undefined ? NONE : format('NumberFormat', { maximumFractionDigits: 0 }).format(n));
const decimal = (n, digits = 2) =>
  n === null || n === undefined
    ? NONE
    : format('NumberFormat', { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(n);
const percent = (share, digits = 1) =>
  share === null || share === undefined
    ? NONE
    : format('NumberFormat', { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share);
const minus = (text) => text.replace('-', '−');
const signed = (n) => minus(format('NumberFormat', { maximumFractionDigits: 0, signDisplay: 'exceptZero' }).format(n));
const signedPercent = (share) =>
  minus(format('NumberFormat', { style: 'percent', maximumFractionDigits: 1, signDisplay: 'exceptZero' }).format(share));
const signedPoints = (change, digits = 1) =>
  t('points', {
    n: minus(format('NumberFormat', { maximumFractionDigits: digits, signDisplay: 'exceptZero' }).format(change * 100)),
  });
const money = (amount, currency) =>
  amount === null || amount === undefined
    ? NONE
    : currency
      ? format('NumberFormat', { style: 'currency', currency, maximumFractionDigits: 0 }).format(amount)
      : count(amount);

const utc = (day) => new Date(`${day}T00:00:00Z`);
const longMonth = (day) => format('DateTimeFormat', { month: 'long', year: 'numeric', timeZone: 'UTC' }).format(utc(day));
const shortMonth = (day) => format('DateTimeFormat', { month: 'short', year: '2-digit', timeZone: 'UTC' }).format(utc(day));
const longDay = (day) => format('DateTimeFormat', { dateStyle: 'long', timeZone: 'UTC' }).format(utc(day));
const shortDay = (day) => format('DateTimeFormat', { dateStyle: 'short', timeZone: 'UTC' }).format(utc(day));
const instant = (text) =>
  format('DateTimeFormat', { dateStyle: 'long', timeStyle: 'short', timeZone: DATA.terms.zone }).format(new Date(text));

/** How the charts' axes write figures: what d3 calls a locale, with the separators of Intl. */
function axisLocale() {
  const part = (type) => format('NumberFormat', {}).formatToParts(12345.6).find((p) => p.type === type).value;
  const sign = percent(0.1).replace(/[\d.,]/g, '');
  return { decimal: part('decimal'), thousands: part('group'), grouping: [3], currency: ['', ''], percent: sign, minus: '−' };
}

const capital = (text) => text.charAt(0).toLocaleUpperCase(state.lang) + text.slice(1);
const nameOf = (what) => (what === 'any' ? t('any_channel') : capital(DATA.names[state.lang][what] || what.replace(/_/g, ' ')));
const sourceName = (place) => {
  const source = DATA.sources[place];
  if (source.name === null) return t('other_sources', { n: count(source.count) });
  return source.name === 'unknown' ? t('unknown_source') : source.name;
};
