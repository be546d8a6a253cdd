// The data of the page, and sums over it.

const DATA = JSON.parse(document.getElementById('data').textContent);

/** Counts by cell, as columns; a cell is one value (an index) of each key. */
class Cube {
  constructor({ keys, measures }) {
    this.keys = keys;
    this.measures = measures;
    this.size = Object.values(keys)[0].length;
    this.byMonth = new Map();
    const first = keys.month || keys.cohort;
    for (let i = 0; i < this.size; i += 1) {
      if (!this.byMonth.has(first[i])) this.byMonth.set(first[i], []);
      this.byMonth.get(first[i]).push(i);
    }
  }

  has(measure) {
    return measure in this.measures;
  }

  /** The places of the cells of a month (or cohort) that a filter lets through; it may name keys that the cube lacks. */
  places(first, filter) {
    const asked = Object.entries(filter).filter(([name, value]) => value >= 0 && this.keys[name]);
    return (this.byMonth.get(first) || []).filter((i) => asked.every(([name, value]) => this.keys[name][i] === value));
  }

  sum(measure, first, filter = {}) {
    const values = this.measures[measure];
    return values ? this.places(first, filter).reduce((total, i) => total + values[i], 0) : 0;
  }

  /** One sum per month of the report. */
  series(measure, filter = {}) {
    return MONTHS.map((_, month) => this.sum(measure, month, filter));
  }
}

const MONTHS = DATA.months;
const LAST = MONTHS.length - 1;
const CUBES = DATA.month
  ? Object.fromEntries(
      ['segments', 'people', 'flows', 'retention', 'quality', 'cohorts'].map((name) => [name, new Cube(DATA[name])]),
    )
  : {};

/** What the reader chose: filters as places in the lists of the data, -1 for all. */
const state = { lang: DATA.language, source: -1, status: -1, recent: -1, scope: 'active', period: 1 };
const FILTERS = ['source', 'status', 'recent'];

const filter = () => ({ source: state.source, status: state.status, recent: state.recent });

/** The filters in use that something without these keys cannot follow. */
const ignored = (keys) => FILTERS.filter((name) => state[name] >= 0 && !keys.includes(name));

/** The place of the month `count` months before, if both were closed under one definition. */
function before(month, count) {
  const at = MONTHS[month].month;
  const date = new Date(`${at}T00:00:00Z`);
  date.setUTCMonth(date.getUTCMonth() - count);
  const place = MONTHS.findIndex((m) => m.month === date.toISOString().slice(0, 10));
  return place >= 0 && MONTHS[place].version === MONTHS[month].version ? place : -1;
}

const RECENCY = () => [...DATA.bands.map((band) => `recency|${band.rank}`), 'recency|new'];
const ratio = (part, whole) => (whole ? part / whole : null);
const add = (values) => values.reduce((total, value) => total + value, 0);
const keyFields = () => DATA.fields.filter((field) => field.key);

function keyFilled(month, where) {
  const filled = add(keyFields().map((field) => CUBES.segments.sum(`filled|${field.name}`, month, where)));
  return { filled, values: CUBES.segments.sum('n_profiles', month, where) * keyFields().length };
}
