// The sections of the report, in order. Each figure is a function of what the reader chose.

const C = (n) => `var(--c${n})`;
const days = () => MONTHS.map((m) => m.month);
const monthColumn = () => ({ label: t('month'), type: 'month', name: 'month' });

/** A table of one line per month, and one column per series. */
const monthTable = (series, type, list = days()) => ({
  columns: [monthColumn(), ...series.map((s) => ({ label: s.label, type, name: s.key }))],
  rows: list.map((day, i) => [day, ...series.map((s) => s.values[i] ?? null)]),
});

const lastMonth = () => longMonth(MONTHS[LAST].month);

// ---- tiles ----------------------------------------------------------------------------------------------------------

function tileList() {
  const { segments, retention } = CUBES;
  const where = filter();
  const level = segments.series('n_profiles', where);
  const counted = (id, label, cube, measure, color, isGood) => {
    const values = cube.series(measure, where);
    // The whole that the part is of follows the filters that the part follows.
    const whole = cube.keys.recent ? level : segments.series('n_profiles', { ...where, recent: -1 });
    return { id, label, values, color, isGood, keys: Object.keys(cube.keys), write: count, under: (i) => id === 'profiles' || id === 'new' ? '' : t('of_profiles', { share: percent(ratio(values[i], whole[i])) }) };
  };
  const filled = MONTHS.map((_, i) => keyFilled(i, where));
  return [
    counted('profiles', t('tile_profiles'), segments, 'n_profiles', C(0)),
    counted('active', t('tile_active'), segments, 'n_active', C(0)),
    counted('new', t('tile_new'), segments, 'n_new', C(2)),
    { ...counted('customers', t('tile_customers'), segments, 'n_profiles', C(5)), values: segments.series('n_profiles', { ...where, status: state.status === 1 ? 99 : 0 }), under: (i) => t('of_profiles', { share: percent(ratio(segments.sum('n_profiles', i, { ...where, status: state.status === 1 ? 99 : 0 }), level[i])) }) },
    counted('optin', t('tile_optin'), segments, 'n_optin_any', C(4)),
    counted('contactable', t('tile_contactable'), segments, 'any|n_contactable', C(4)),
    { id: 'filled', label: t('tile_filled'), values: filled.map((f) => ratio(f.filled, f.values)), color: C(1), write: percent, isShare: true, keys: FILTERS, under: (i) => t('of_values', { n: count(filled[i].values) }) },
    counted('overdue', t('tile_overdue'), retention, 'n_overdue', C(3)),
  ];
}

function changeOf(tile, months) {
  const place = before(LAST, months);
  const now = tile.values[LAST];
  const then = place < 0 ? null : tile.values[place];
  if (then === null || now === null) return { text: t('no_comparison'), sign: 0 };
  if (tile.isShare) return { text: signedPoints(now - then), sign: Math.sign(Math.round((now - then) * 1000)) };
  return { text: then ? `${signed(now - then)} (${signedPercent(now / then - 1)})` : signed(now - then), sign: Math.sign(now - then) };
}

function spark(tile) {
  const known = tile.values.map((v) => v ?? 0);
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  const at = (v, i) => `${((i / Math.max(1, known.length - 1)) * 116 + 2).toFixed(1)},${(30 - ((v - low) / span) * 26).toFixed(1)}`;
  const line = h('svg:polyline', { points: known.map(at).join(' '), fill: 'none', 'stroke-width': 2 });
  // A line without length and with round ends: a dot, however the picture is stretched.
  const dot = h('svg:path', { d: `M${at(known[LAST], LAST).replace(',', ' ')}h0`, 'stroke-width': 7, 'stroke-linecap': 'round' });
  line.style.stroke = tile.color;
  dot.style.stroke = tile.color;
  return h(
    'svg:svg',
    { viewBox: '0 0 122 34', preserveAspectRatio: 'none', class: 'spark', role: 'img', 'aria-label': t('spark', { what: tile.label, first: tile.write(tile.values[0]), last: tile.write(tile.values[LAST]) }) },
    line,
    dot,
  );
}

function tiles() {
  return h(
    'ul',
    { class: 'tiles' },
    tileList().map((tile) => {
      const change = (months, words) => {
        const { text, sign } = changeOf(tile, months);
        return h('p', { class: 'change' }, h('strong', {}, h('span', { 'aria-hidden': 'true' }, ['▼ ', '', '▲ '][sign + 1]), text), ' ', h('span', {}, t(words)));
      };
      const missed = ignored(tile.keys);
      return h(
        'li',
        { class: 'tile', 'data-tile': tile.id },
        h('h3', {}, tile.label),
        h('p', { class: 'value' }, tile.write(tile.values[LAST])),
        h('p', { class: 'under' }, tile.under(LAST) || '\u00a0'),
        spark(tile),
        change(1, 'on_month'),
        change(12, 'on_year'),
        missed.length ? h('p', { class: 'ignores' }, t('ignores', { what: missed.map((name) => t(name).toLowerCase()).join(', ') })) : null,
      );
    }),
  );
}

// ---- the bathtub ----------------------------------------------------------------------------------------------------

/** The movements of the view: what enters a segment and leaves another of the same view changes nothing, and is left out. */
function movesShown(scope) {
  const series = (name) => CUBES.flows.series(`${scope}|${name}`, filter());
  const inner = ['converted', 'reassigned'].filter((kind) => {
    const out = series(`${kind}_out`);
    return series(`${kind}_in`).every((n, i) => n === out[i]);
  });
  return DATA.movements.filter(({ name }) => !inner.includes(name.replace(/_(in|out)$/, '')));
}

/** What came in and went out over the last months of a definition, and the levels at both ends. */
function balance(scope, months) {
  const { flows } = CUBES;
  const where = filter();
  const first = Math.max(0, LAST - months + 1);
  const span = MONTHS.map((_, i) => i).slice(first);
  const moves = movesShown(scope)
    .map(({ name, sign }) => ({ name, sign, n: add(span.map((i) => flows.sum(`${scope}|${name}`, i, where))) }))
    .filter((move) => move.n);
  const opening = flows.sum(`${scope}|opening`, first, where);
  const closing = flows.sum(`${scope}|closing`, LAST, where);
  const into = add(moves.filter((m) => m.sign > 0).map((m) => m.n));
  const out = add(moves.filter((m) => m.sign < 0).map((m) => m.n));
  if (opening + into - out !== closing) throw new Error(`The bathtub does not balance: ${opening} + ${into} - ${out} is not ${closing}.`);
  return { opening, closing, into, out, moves, months: span.length, first };
}

function choice(name, options) {
  return h(
    'div',
    { class: 'choice', role: 'group', 'aria-label': t(name) },
    options.map((value) =>
      h('button', { type: 'button', 'data-choice': `${name}-${value}`, 'aria-pressed': String(state[name] === value), onclick: () => choose({ [name]: value }, `[data-choice="${name}-${value}"]`) }, t(`${name}_${value}`)),
    ),
  );
}

function tub({ opening, closing, into, out }, capacity) {
  const top = 92;
  const bottom = 292;
  const yOf = (level) => bottom - (level / capacity) * (bottom - top);
  const water = yOf(closing);
  const stream = (n) => (n ? 5 + 22 * Math.min(1, n / Math.max(into, out)) : 0);
  const shape = 'M60 84 H440 V250 Q440 296 394 296 H106 Q60 296 60 250 Z';
  const wave = `M40 ${water} q 30 -7 60 0 t 60 0 t 60 0 t 60 0 t 60 0 t 60 0 t 60 0 V 310 H 40 Z`;
  const part = (tag, className, attributes) => h(`svg:${tag}`, { class: className, ...attributes });
  const start = Math.min(bottom - 4, Math.max(top, yOf(opening)));
  const inside = water < 236;
  return h(
    'svg:svg',
    { viewBox: '0 0 500 372', class: 'tub', role: 'img', 'aria-label': `${t('level')} ${count(closing)}. ${t('inflows')} ${count(into)}, ${t('outflows')} ${count(out)}.` },
    h('svg:defs', {}, h('svg:clipPath', { id: 'tub-inside' }, h('svg:path', { d: shape }))),
    // The tap, above the left end; its stream falls to the water.
    part('path', 'pipe', { d: 'M20 40 H118 Q132 40 132 54 V64 H104 V60 Q104 58 100 58 H20 Z' }),
    part('rect', 'pipe', { x: 66, y: 20, width: 12, height: 22, rx: 3 }),
    part('rect', 'pipe', { x: 52, y: 12, width: 40, height: 10, rx: 5 }),
    part('rect', 'stream-in', { x: 118 - stream(into) / 2, y: 64, width: stream(into), height: Math.max(0, water - 60) }),
    part('path', 'tub-back', { d: shape }),
    h('svg:g', { 'clip-path': 'url(#tub-inside)' }, part('path', 'water', { d: wave }), part('rect', 'stream-in', { x: 118 - stream(into) / 2, y: 84, width: stream(into), height: Math.max(0, water - 82) })),
    part('path', 'tub-line', { d: shape }),
    part('path', 'tub-rim', { d: 'M44 84 H456' }),
    part('path', 'tub-feet', { d: 'M120 296 l-12 22 M380 296 l12 22' }),
    // The drain, below the right end.
    part('path', 'pipe', { d: 'M306 296 H346 V318 H306 Z' }),
    part('rect', 'stream-out', { x: 326 - stream(out) / 2, y: 318, width: stream(out), height: 50 }),
    part('path', 'start', { d: `M62 ${start} H438` }),
    h('svg:text', { class: inside ? 'level-in' : 'level-out', x: 270, y: inside ? Math.min(262, (water + 296) / 2 + 14) : water - 34, 'text-anchor': 'middle' }, count(closing)),
    h('svg:text', { class: inside ? 'unit-in' : 'unit-out', x: 270, y: inside ? Math.min(284, (water + 296) / 2 + 38) : water - 12, 'text-anchor': 'middle' }, t(state.scope === 'active' ? 'tile_active' : 'profiles').toLowerCase()),
  );
}

function moveList(title, total, moves, className) {
  return h(
    'div',
    { class: `moves ${className}` },
    h('h4', {}, title),
    h('p', { class: 'move-total' }, total),
    h('ul', {}, moves.map((m) => h('li', {}, h('span', {}, t(`move_${m.name}`)), h('strong', {}, `${m.sign > 0 ? '+' : '−'}${count(m.n)}`)))),
  );
}

const bathtub = () => {
  const keys = ['month', 'source', 'status'];
  const told = balance(state.scope, state.period);
  const { flows } = CUBES;
  const capacity = Math.max(1, told.opening, ...flows.series(`${state.scope}|closing`, filter())) * 1.06;
  const change = told.closing - told.opening;
  const says = change > 0 ? t('rises', { n: count(change) }) : change < 0 ? t('falls', { n: count(-change) }) : t('stays');
  const name = (move) => t(`move_${move.name}`);
  const span = told.months > 1 ? `${longMonth(MONTHS[told.first].month)} – ${lastMonth()}` : lastMonth();
  return {
    title: `${t(`bathtub_title_${state.scope}`)} (${span})`,
    says,
    note: t('bathtub_note', { days: count(DATA.terms.activeWithinDays) }),
    keys,
    controls: h('div', { class: 'controls' }, choice('scope', ['active', 'base']), choice('period', [1, 12])),
    nodes: [
      h(
        'div',
        { class: 'bathtub' },
        moveList(t('tap'), `+${count(told.into)}`, told.moves.filter((m) => m.sign > 0), 'tap'),
        tub(told, capacity),
        moveList(t('drain'), `−${count(told.out)}`, told.moves.filter((m) => m.sign < 0), 'drain'),
      ),
      h(
        'dl',
        { class: 'equation' },
        [['opening', told.opening, ''], ['inflows', told.into, '+'], ['outflows', told.out, '−'], ['closing', told.closing, '=']].map(([word, n, sign]) =>
          h('div', {}, h('dt', {}, t(word)), h('dd', { 'data-level': word }, sign ? h('span', { class: 'sign' }, sign) : null, count(n)))),
      ),
    ],
    empty: told.opening || told.closing || told.into ? false : true,
    table: {
      columns: [{ label: t('scope'), type: 'text', name: 'movement' }, { label: t('profiles'), type: 'count', name: 'n_profiles' }],
      rows: [[t('opening'), told.opening], ...told.moves.map((m) => [name(m), m.sign * m.n]), [t('closing'), told.closing]],
    },
  };
};

const MOVE_COLORS = { new: 2, restored: 4, reactivated: 0, converted_in: 6, reassigned_in: 7, deleted: 3, merged: 7, lapsed: 1, converted_out: 5, reassigned_out: 7 };

const flowsByMonth = (width) => {
  const { flows } = CUBES;
  const series = movesShown(state.scope)
    .map(({ name, sign }) => ({ key: name, sign, label: t(`move_${name}`), color: C(MOVE_COLORS[name] ?? 7), values: flows.series(`${state.scope}|${name}`, filter()) }))
    .filter((s) => s.values.some((v) => v));
  // The first month opens with nothing: the whole base would be its inflow.
  const opened = flows.series(`${state.scope}|opening`, filter());
  const from = DATA.monthsLeftOut || opened[0] || MONTHS.length === 1 ? 0 : 1;
  const cut = series.map((s) => ({ ...s, values: s.values.slice(from) }));
  const above = cut.filter((s) => s.sign > 0);
  const below = cut.filter((s) => s.sign < 0);
  const list = days().slice(from);
  const into = add(above.flatMap((s) => s.values));
  const out = add(below.flatMap((s) => s.values));
  return {
    title: `${t('flows_title')} (${t(`scope_${state.scope}`).toLowerCase()})`,
    says: t('flows_says', { in: count(into), out: count(out), net: signed(into - out) }),
    note: t('flows_note'),
    keys: ['month', 'source', 'status'],
    legend: [...above, ...below].map(({ label, color }) => ({ label, color })),
    empty: !cut.length,
    spec: cut.length ? diverging({ days: list, above, below, width }) : null,
    table: monthTable(cut.map((s) => ({ ...s, values: s.values.map((v) => s.sign * v) })), 'count', list),
  };
};

// ---- recency, customers and prospects -------------------------------------------------------------------------------

const recency = (width) => {
  const { segments } = CUBES;
  // Blues for the active, browns for the others, each from the most recent on.
  const isActive = (band) => Number(band.name.split('-').at(-1)) <= DATA.terms.activeWithinDays;
  const [on, off] = [DATA.bands.filter(isActive), DATA.bands.filter((band) => !isActive(band))];
  const shade = (band) => (isActive(band) ? `var(--band${Math.min(3, Math.round((on.indexOf(band) * 3) / Math.max(1, on.length - 1)))})` : `var(--band${4 + Math.min(1, off.indexOf(band))})`);
  const bands = DATA.bands.map((band) => ({
    key: band.name, label: t('band_days', { band: band.name.replace('-', '–') }), color: shade(band),
    values: segments.series(`recency|${band.rank}`, filter()),
  }));
  const series = [{ key: 'new', label: t('band_new'), color: C(2), values: segments.series('recency|new', filter()) }, ...bands];
  const level = segments.series('n_profiles', filter());
  const active = segments.series('n_active', filter());
  const year = before(LAST, 12);
  const words = { share: percent(ratio(active[LAST], level[LAST])), days: count(DATA.terms.activeWithinDays) };
  return {
    title: t('recency_title'),
    says: year >= 0 && level[year] ? t('recency_says', { ...words, before: percent(ratio(active[year], level[year])) }) : t('recency_says_alone', words),
    note: t('recency_note'),
    empty: !level.some((v) => v),
    spec: stacked({ days: days(), series, width, height: 300 }),
    table: monthTable(series, 'count'),
  };
};

const byStatus = (recentOnly) => (width) => {
  const { segments } = CUBES;
  const where = recentOnly ? { ...filter(), recent: 1 } : filter();
  const series = DATA.statuses.map((name, i) => ({
    key: name, label: t(name), color: C([5, 4][i]),
    values: segments.series('n_profiles', { ...where, status: state.status >= 0 && state.status !== i ? 99 : i }),
  }));
  const total = add(series.map((s) => s.values[LAST]));
  return {
    title: t(recentOnly ? 'status_recent_title' : 'status_title'),
    says: t('status_says', { share: percent(ratio(series[0].values[LAST], total)), month: lastMonth() }),
    keys: recentOnly ? ['source', 'status'] : FILTERS,
    empty: !series.some((s) => s.values.some((v) => v)),
    spec: stacked({ days: days(), series, width }),
    table: monthTable(series, 'count'),
  };
};

// ---- acquisition ----------------------------------------------------------------------------------------------------

const acquisition = (width) => {
  const { segments } = CUBES;
  const all = segments.series('n_new', filter());
  const earlierOf = all.map((_, i) => { const place = before(i, 12); return place < 0 ? null : all[place]; });
  const from = Math.max(0, MONTHS.length - 24);
  const list = days().slice(from);
  const now = all.slice(from);
  const year = now.slice(-12);
  const best = now.length - year.length + year.indexOf(Math.max(...year));
  const worst = now.length - year.length + year.indexOf(Math.min(...year));
  const marks = best === worst ? [] : [{ at: best, label: `${t('best')} ${count(now[best])}` }, { at: worst, label: `${t('worst')} ${count(now[worst])}` }];
  const words = { best: longMonth(list[best]), nbest: count(now[best]), worst: longMonth(list[worst]), nworst: count(now[worst]) };
  const series = [{ key: 'n_new', label: t('tile_new'), values: now }, { key: 'n_new_prev_year', label: t('year_before'), values: earlierOf.slice(from) }];
  return {
    title: t('acquisition_title'),
    says: best === worst ? null : t('acquisition_says', words),
    note: t('acquisition_note'),
    empty: !now.some((v) => v),
    spec: barsBefore({ days: list, values: now, earlier: earlierOf.slice(from), width, color: C(2), marks, labels: series.map((s) => s.label) }),
    table: monthTable(series, 'count', list),
  };
};

const prospectAges = (width) => {
  const { quality } = CUBES;
  const [a, b] = DATA.terms.prospectAges;
  const series = ['new', 'cold', 'dormant'].map((age, i) => ({ key: `n_prospects_${age}`, label: t(`prospects_${age}`), color: ['var(--band0)', 'var(--band2)', 'var(--band5)'][i], values: quality.series(`n_prospects_${age}`, filter()) }));
  const total = add(series.map((s) => s.values[LAST]));
  return {
    title: t('prospects_title'),
    says: t('prospects_says', { share: percent(ratio(series[2].values[LAST], total)), b }),
    note: t('prospects_note', { a, b }),
    keys: ['source'],
    empty: !series.some((s) => s.values.some((v) => v)),
    spec: stacked({ days: days(), series, width }),
    table: monthTable(series, 'count'),
  };
};

const cohorts = (width) => {
  const { cohorts: cube } = CUBES;
  const shown = Math.min(MONTHS.length, width < 480 ? 12 : 18);
  const longest = Math.min(12, shown - 1);
  const across = Array.from({ length: longest + 1 }, (_, i) => i).filter((since) => width > 480 || since % 2 === 0);
  const at = (age, since) => {
    const places = cube.places(age, { source: state.source }).filter((i) => cube.keys.since[i] === since);
    const total = (name) => add(places.map((i) => cube.measures[name][i]));
    return { registered: total('n_registered'), customers: total('n_customers') };
  };
  const ages = MONTHS.map((_, i) => LAST - i).filter((age) => age < shown);
  const cells = [];
  const rows = [];
  for (const age of ages) {
    const day = MONTHS[LAST - age].month;
    for (let since = 0; since <= Math.min(longest, age); since += 1) {
      const { registered, customers } = at(age, since);
      if (!registered) continue;
      const v = customers / registered;
      if (across.includes(since)) cells.push({ x: String(since), y: shortMonth(day), v, tip: [`${t('cohort')} ${longMonth(day)}`, `${t('since')}${colon()} ${since}`, `${t('customer')}${colon()} ${count(customers)} / ${count(registered)} (${percent(v)})`].join('\n') });
      rows.push([day, since, registered, customers, v]);
    }
  }
  const six = MONTHS.map((_, i) => i).filter((age) => age >= 6 && age < 18).map((age) => at(age, 6));
  const registered = add(six.map((c) => c.registered));
  const shares = cells.map((c) => c.v);
  return {
    title: t('cohorts_title'),
    says: six.length === 12 && registered ? t('cohorts_says', { share: percent(ratio(add(six.map((c) => c.customers)), registered)) }) : null,
    note: t('cohorts_note'),
    keys: ['source'],
    empty: !cells.length,
    spec: heat({ xs: across.map(String), ys: ages.map((age) => shortMonth(MONTHS[LAST - age].month)), cells, width, start: Math.min(...shares), end: Math.max(...shares) * 1.0001, xTitle: t('since'), row: 24 }),
    table: {
      columns: [{ label: t('cohort'), type: 'month', name: 'cohort_month' }, { label: t('since'), type: 'count', name: 'months_since_registration' }, { label: t('registered'), type: 'count', name: 'n_registered' }, { label: t('customer'), type: 'count', name: 'n_customers' }, { label: t('share'), type: 'percent', name: 'share' }],
      rows,
    },
  };
};

// ---- who they are ---------------------------------------------------------------------------------------------------

const people = (width) => {
  const { people: cube } = CUBES;
  const at = (gender, age) => cube.sum(`${gender}|${age}`, LAST, filter());
  const known = DATA.ages.filter((age) => age !== 'missing');
  const both = add(known.flatMap((age) => ['F', 'M'].map((g) => at(g, age))));
  const total = add(DATA.ages.flatMap((age) => DATA.genders.map((g) => at(g, age))));
  const noAge = add(DATA.genders.map((g) => at(g, 'missing')));
  const noGender = add(DATA.ages.map((age) => at('missing', age)));
  const rows = [...known].reverse().map((age) => ({ label: age.replace('-', '–'), left: ratio(at('F', age), both) || 0, right: ratio(at('M', age), both) || 0 }));
  return {
    title: t('people_title'),
    says: t('people_says', { age: decimal(ratio(cube.sum('sum_age_years', LAST, filter()), cube.sum('n_age_known', LAST, filter())), 1), noage: percent(ratio(noAge, total)), nogender: percent(ratio(noGender, total)) }),
    note: t('people_note'),
    empty: total ? false : true,
    spec: pyramid({ rows, left: { label: t('gender_F'), color: C(5) }, right: { label: t('gender_M'), color: C(0) }, width, row: 30 }),
    table: {
      columns: [{ label: t('age'), type: 'text', name: 'age_band' }, ...DATA.genders.map((g) => ({ label: genderName(g), type: 'count', name: g }))],
      rows: DATA.ages.map((age) => [age === 'missing' ? t('missing') : age, ...DATA.genders.map((g) => at(g, age))]),
    },
  };
};

const genderName = (gender) => (`gender_${gender}` in DATA.words[state.lang] ? t(`gender_${gender}`) : gender);

const genders = (width) => {
  const { people: cube } = CUBES;
  const year = before(LAST, 12);
  const series = DATA.genders.map((g) => ({ key: g, label: genderName(g), color: g === 'missing' ? 'var(--behind)' : C({ F: 5, M: 0, X: 1 }[g] ?? 7), ink: g === 'missing' ? INK : null }));
  const row = (place) => {
    const values = Object.fromEntries(DATA.genders.map((g) => [g, add(DATA.ages.map((age) => cube.sum(`${g}|${age}`, place, filter())))]));
    return { label: capital(shortMonth(MONTHS[place].month)), day: MONTHS[place].month, values, whole: add(Object.values(values)) };
  };
  const rows = (year < 0 ? [LAST] : [LAST, year]).map(row).filter((r) => r.whole);
  const now = rows[0];
  return {
    title: t('gender_title'),
    says: now ? t('gender_says', { share: percent(1 - (now.values.missing || 0) / now.whole) }) : null,
    legend: series,
    empty: !rows.length,
    spec: rows.length ? parts({ rows, series, width, row: 48 }) : null,
    table: { columns: [monthColumn(), ...series.map((s) => ({ label: s.label, type: 'count', name: s.key }))], rows: rows.map((r) => [r.day, ...series.map((s) => r.values[s.key])]) },
  };
};

// ---- fill rate ------------------------------------------------------------------------------------------------------

const shownSources = () => DATA.sources.map((_, i) => i).filter((i) => state.source < 0 || i === state.source);

const fill = (width) => {
  const { segments } = CUBES;
  const where = (source) => ({ ...filter(), source });
  const sources = shownSources().filter((i) => segments.sum('n_profiles', LAST, where(i)));
  const label = (field) => `${nameOf(field.name)}${field.key ? ' ★' : ''}`;
  const lines_ = [...(sources.length > 1 ? [{ name: t('total'), source: state.source }] : []), ...sources.map((i) => ({ name: sourceName(i), source: i }))];
  const cells = [];
  const rows = [];
  for (const { name, source } of lines_) {
    const whole = segments.sum('n_profiles', LAST, where(source));
    for (const field of DATA.fields) {
      const filled = segments.sum(`filled|${field.name}`, LAST, where(source));
      cells.push({ x: label(field), y: name, v: filled / whole, tip: `${name}\n${label(field)}${colon()} ${percent(filled / whole)} (${count(filled)} / ${count(whole)})` });
      rows.push([name, field.name, whole, filled, filled / whole]);
    }
  }
  const whole = segments.sum('n_profiles', LAST, filter());
  const shares = DATA.fields.map((field) => ({ field, v: ratio(segments.sum(`filled|${field.name}`, LAST, filter()), whole) })).sort((a, b) => a.v - b.v);
  const [worst, best] = [shares[0], shares.at(-1)];
  return {
    title: t('fill_title'),
    says: whole && shares.length > 1 ? t('fill_says', { worst: nameOf(worst.field.name).toLowerCase(), nworst: percent(worst.v), best: nameOf(best.field.name).toLowerCase(), nbest: percent(best.v) }) : null,
    note: t('fill_note'),
    empty: !whole,
    // On a phone the shorter list goes across.
    spec: !whole
      ? null
      : width < 520 && lines_.length < DATA.fields.length
        ? heat({ xs: lines_.map((l) => l.name), ys: DATA.fields.map(label), cells: cells.map((c) => ({ ...c, x: c.y, y: c.x })), width, row: 28 })
        : heat({ xs: DATA.fields.map(label), ys: lines_.map((l) => l.name), cells, width, row: 30 }),
    table: {
      columns: [{ label: t('source'), type: 'text', name: 'source' }, { label: t('field'), type: 'text', name: 'field' }, { label: t('profiles'), type: 'count', name: 'n_profiles' }, { label: t('filled'), type: 'count', name: 'n_filled' }, { label: t('share'), type: 'percent', name: 'share' }],
      rows,
    },
  };
};

const fillOverTime = (width) => {
  const filled = MONTHS.map((_, i) => keyFilled(i, filter()));
  const fields = keyFields().map((field, i) => ({
    key: field.name, label: nameOf(field.name), color: C([0, 1, 2, 3, 4, 5, 7][i % 7]),
    values: MONTHS.map((_, m) => ratio(CUBES.segments.sum(`filled|${field.name}`, m, filter()), CUBES.segments.sum('n_profiles', m, filter()))),
  }));
  return {
    title: t('fill_time_title'),
    says: t('fill_time_says', { share: percent(ratio(filled[LAST].filled, filled[LAST].values)), month: lastMonth() }),
    empty: !filled.some((f) => f.values),
    spec: lines({ days: days(), series: fields, width, isShare: true, height: 300 }),
    table: monthTable(fields, 'percent'),
  };
};

// ---- contactability -------------------------------------------------------------------------------------------------

const REASONS = ['n_contactable', 'n_no_optin', 'n_optin_other_coordinate', 'n_untested', 'n_bounced', 'n_invalid', 'n_no_coordinate'];
const REASON_COLORS = [C(2), 'var(--band1)', 'var(--band2)', 'var(--band4)', C(1), C(3), 'var(--behind)'];

const contactability = (width) => {
  const { segments } = CUBES;
  const at = (channel, measure) => segments.sum(`${channel}|${measure}`, LAST, filter());
  const channels = DATA.channels;
  const whole = segments.sum('n_profiles', LAST, filter());
  const used = REASONS.map((key, i) => ({ key, label: t(key), color: REASON_COLORS[i], ink: key === 'n_no_coordinate' ? INK : ['n_bounced', 'n_optin_other_coordinate', 'n_untested'].includes(key) ? 'var(--on-light)' : null })).filter((s) => channels.some((c) => at(c, s.key)));
  const rows = channels.map((channel) => ({ label: nameOf(channel), channel, values: Object.fromEntries(REASONS.map((key) => [key, at(channel, key)])), whole }));
  const any = at('any', 'n_contactable');
  return {
    title: t('contact_title'),
    says: t('contact_says', { share: percent(ratio(any, whole)), n: count(any) }),
    note: t('contact_note'),
    legend: used,
    empty: !whole,
    spec: whole ? parts({ rows, series: used, width, row: 46 }) : null,
    table: { columns: [{ label: t('channel'), type: 'text', name: 'channel' }, { label: t('profiles'), type: 'count', name: 'n_profiles' }, ...REASONS.map((key) => ({ label: t(key), type: 'count', name: key }))], rows: rows.map((r) => [r.label, r.whole, ...REASONS.map((key) => r.values[key])]) },
  };
};

const contactOverTime = (width) => {
  const { segments } = CUBES;
  const level = segments.series('n_profiles', filter());
  const series = DATA.channels.map((channel, i) => ({
    key: channel, label: nameOf(channel), color: channel === 'any' ? INK : C([0, 1, 2, 5][i % 4]), dash: channel === 'any',
    values: segments.series(`${channel}|n_contactable`, filter()).map((n, m) => ratio(n, level[m])),
  }));
  const listed = series.filter((s) => s.key !== 'any').map((s) => `${s.label.toLowerCase() === 'sms' ? 'SMS' : s.label.toLowerCase()} ${percent(s.values[LAST])}`);
  return {
    title: t('contact_time_title'),
    says: t('contact_time_says', { month: lastMonth(), list: listed.join(', ') }),
    empty: !level.some((v) => v),
    spec: lines({ days: days(), series, width, isShare: true, height: 300 }),
    table: monthTable(series, 'percent'),
  };
};

// ---- scorecard ------------------------------------------------------------------------------------------------------

const scorecard = () => {
  const { quality } = CUBES;
  const at = (source, name) => quality.sum(name, LAST, { source });
  const score = (i) => {
    const n = (name) => at(i, name);
    return {
      source: i, name: sourceName(i), n_profiles: n('n_profiles'), n_new: n('n_new'), small: n('n_profiles') < DATA.terms.minSourceProfiles,
      filled: ratio(n('n_key_fields_filled'), n('n_key_values')), placeholders: ratio(n('n_placeholders'), n('n_values')), invalid: ratio(n('n_invalid'), n('n_coordinates')),
      duplicate: ratio(n('n_duplicate'), n('n_profiles')), optin: ratio(n('n_optin_no_coordinate'), n('n_opted_in')),
      effect: quality.has('fill_rate_effect') ? n('fill_rate_effect') + n('fill_mix_effect') : null,
      defects: ratio(n('n_placeholders') + n('n_invalid') + n('n_duplicate') + n('n_optin_no_coordinate'), n('n_profiles')),
    };
  };
  const scored = shownSources().filter((i) => at(i, 'n_profiles')).map(score);
  const ranked = scored.filter((s) => !s.small).sort((a, b) => b.defects - a.defects);
  const order = [...ranked, ...scored.filter((s) => s.small)];
  const columns = ['filled', 'placeholders', 'invalid', 'duplicate', 'optin', 'defects'];
  // The longest bar is the worst of all sources, also where one of them is shown.
  const worstOf = Object.fromEntries(columns.map((c) => [c, Math.max(0.0001, ...DATA.sources.map((_, i) => score(i)[c] || 0))]));
  const bar = (value, column) => {
    const inner = h('span', { class: `bar bar-${column === 'filled' ? 'good' : 'bad'}`, 'aria-hidden': 'true' });
    inner.style.width = `${Math.round(((value || 0) / (column === 'filled' ? 1 : worstOf[column])) * 100)}%`;
    return h('span', { class: 'bar-track', 'aria-hidden': 'true' }, inner);
  };
  const head = ['source', 'score_profiles', 'score_new', 'score_filled', 'score_placeholders', 'score_invalid', 'score_duplicate', 'score_optin', 'score_defects', 'score_effect'];
  return {
    title: t('scorecard_title'),
    says: ranked.length > 1 ? t('scorecard_says', { worst: ranked[0].name }) : null,
    note: t('scorecard_note'),
    keys: ['source'],
    isTable: true,
    empty: !scored.length,
    nodes: [
      h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': t('scorecard_title') },
        h('table', { class: 'scorecard' },
          h('caption', { class: 'hidden' }, t('scorecard_title')),
          h('thead', {}, h('tr', {}, head.map((word, i) => h('th', { scope: 'col', class: i ? 'figure-cell' : null }, t(word))))),
          h('tbody', {}, order.map((s) => h('tr', {},
            h('th', { scope: 'row' }, s.name, s.small ? h('span', { class: 'small-source' }, ` ${t('small_source')}`) : null),
            h('td', { class: 'figure-cell' }, count(s.n_profiles)),
            h('td', { class: 'figure-cell' }, count(s.n_new)),
            columns.map((c) => h('td', { class: 'figure-cell' }, c === 'defects' ? decimal(s[c]) : percent(s[c]), bar(s[c], c))),
            h('td', { class: 'figure-cell' }, s.effect === null ? NONE : signedPoints(s.effect, 2)))))),
      ),
    ],
    table: {
      columns: [{ label: t('source'), type: 'text', name: 'source' }, { label: t('score_profiles'), type: 'count', name: 'n_profiles' }, { label: t('score_new'), type: 'count', name: 'n_new' }, ...columns.map((c) => ({ label: t(`score_${c}`), type: c === 'defects' ? 'decimal' : 'percent', name: c })), { label: t('score_effect'), type: 'points', name: 'effect' }],
      rows: order.map((s) => [s.name, s.n_profiles, s.n_new, ...columns.map((c) => s[c]), s.effect]),
    },
  };
};

// ---- retention, projection ------------------------------------------------------------------------------------------

const retention = (width) => {
  const { retention: cube } = CUBES;
  const n = (name) => cube.sum(name, LAST, filter());
  const rows = [
    { key: 'n_overdue', label: t('overdue'), value: n('n_overdue'), color: C(3) },
    { key: 'n_due_1m', label: t('due_1'), value: n('n_due_1m'), color: C(1) },
    { key: 'n_due_1_to_3m', label: t('due_3'), value: n('n_due_3m') - n('n_due_1m'), color: 'var(--band4)' },
    { key: 'n_due_3_to_12m', label: t('due_12'), value: n('n_due_12m') - n('n_due_3m'), color: 'var(--band1)' },
  ].map((r) => ({ ...r, text: count(r.value) }));
  return {
    title: t('retention_title'),
    says: t('retention_says', { n: count(rows[0].value), next: count(n('n_due_3m')) }),
    note: t('retention_note', { prospect: DATA.terms.retentionProspect, customer: DATA.terms.retentionCustomer }),
    keys: ['source', 'status'],
    empty: !CUBES.segments.sum('n_profiles', LAST, { source: state.source, status: state.status }) && !rows[0].value,
    spec: plainBars({ rows, width, row: 52 }),
    table: { columns: [{ label: t('retention'), type: 'text', name: 'due' }, { label: t('profiles'), type: 'count', name: 'n_profiles' }], rows: rows.map((r) => [r.label, r.value]) },
  };
};

const retentionOverTime = (width) => {
  const { retention: cube } = CUBES;
  const series = [
    { key: 'n_overdue', label: t('overdue'), color: C(3), values: cube.series('n_overdue', filter()) },
    { key: 'n_deleted', label: t('deleted'), color: C(0), values: cube.series('n_deleted', filter()) },
  ];
  return {
    title: t('retention_time_title'),
    says: t('retention_time_says', { n: count(series[1].values[LAST]), month: lastMonth() }),
    keys: ['source', 'status'],
    empty: !series.some((s) => s.values.some((v) => v)),
    spec: lines({ days: days(), series, width }),
    table: monthTable(series, 'count'),
  };
};

const projection = (scope) => (width) => {
  const suffix = scope === 'active' ? '_active' : '';
  const status = state.status < 0 ? 'all' : DATA.statuses[state.status];
  const rows = DATA.projection.filter((row) => row.status === status);
  const targets = [...new Set(rows.map((row) => row.month))];
  const past = MONTHS.slice(-24).map((m) => m.month);
  const start = MONTHS.length - past.length;
  const known = CUBES.segments.series(scope === 'active' ? 'n_active' : 'n_profiles', { status: state.status }).slice(start);
  const all = [...past, ...targets];
  // Scenarios that move this level.
  const scenarios = ['as_is', 'more_acquisition', ...(scope === 'active' ? ['fewer_lapses'] : [])];
  const of = (scenario, name) => all.map((day, i) => (i === past.length - 1 ? known.at(-1) : rows.find((row) => row.month === day && row.scenario === scenario)?.[name + suffix] ?? null));
  const names = { as_is: t('as_is'), more_acquisition: t('more_acquisition', { n: DATA.terms.moreAcquisition }), fewer_lapses: t('fewer_lapses', { n: DATA.terms.fewerLapses }) };
  const series = [
    { key: 'past', label: '', color: C(0), values: all.map((_, i) => (i < past.length ? known[i] : null)) },
    ...scenarios.map((s, i) => ({ key: s, label: names[s], color: [C(0), C(2), C(1)][i], dash: true, values: of(s, 'level') })),
  ];
  const end = rows.filter((row) => row.scenario === 'as_is').at(-1);
  const drawn = targets.length
    ? lines({ days: all, series: series.map((s) => (s.key === 'past' ? { ...s, values: s.values } : s)), width, height: 280, band: { low: of('as_is', 'low'), high: of('as_is', 'high'), color: C(0) } })
    : null;
  return {
    title: t(scope === 'active' ? 'projection_active_title' : 'projection_title'),
    says: end ? t('projection_says', { month: longMonth(end.month), level: count(end[`level${suffix}`]), low: count(end[`low${suffix}`]), high: count(end[`high${suffix}`]) }) : null,
    note: t('projection_note', { interval: DATA.terms.interval }),
    keys: ['status'],
    empty: targets.length ? false : t('projection_none'),
    spec: drawn,
    table: {
      columns: [monthColumn(), { label: t('scenario'), type: 'text', name: 'scenario' }, { label: t('level'), type: 'count', name: 'level' }, { label: t('low'), type: 'count', name: 'low' }, { label: t('high'), type: 'count', name: 'high' }],
      rows: rows.map((row) => [row.month, names[row.scenario] || row.scenario, row[`level${suffix}`], row[`low${suffix}`], row[`high${suffix}`]]),
    },
  };
};

// ---- challenges, definitions ----------------------------------------------------------------------------------------

function challenges() {
  const all = DATA.challenges[state.lang];
  const name = state.source >= 0 ? DATA.sources[state.source].name : null;
  const shown = all.filter((c) => (state.source >= 0 ? c.source === name : !c.repeats));
  const missed = ignored(['source']);
  return h('div', { id: 'challenge-list' },
    missed.length ? h('p', { class: 'ignores' }, t('ignores', { what: missed.map((n) => t(n).toLowerCase()).join(', ') })) : null,
    shown.length
      ? h('ol', { class: 'challenges' }, shown.map((c) => h('li', { class: `challenge ${c.severity}` },
          h('p', { class: 'severity' }, t(`severity_${c.severity}`)),
          h('h3', {}, c.title),
          h('p', {}, c.sentence),
          h('p', { class: 'note' }, c.evidence),
          h('p', { class: 'todo' }, h('strong', {}, `${t('todo')}${colon()} `), c.action))))
      : h('p', { class: 'nothing' }, t(all.length ? 'challenges_none_here' : 'challenges_none')));
}

const DEFINITIONS = ['profile', 'customer', 'prospect', 'active', 'new', 'lapsed', 'filled', 'contactable', 'overdue', 'month', 'year'];

const definitions = () =>
  h('dl', { class: 'definitions' }, DEFINITIONS.map((key) => {
    const [term, meaning] = t(`def_${key}`, DATA.terms).split('|');
    return h('div', {}, h('dt', {}, term), h('dd', {}, meaning));
  }));

// ---- companies ------------------------------------------------------------------------------------------------------

const paid = (width) => {
  const { byMonth } = DATA.accounts;
  const now = byMonth.at(-1);
  const single = now.n_currencies <= 1 && !now.n_mixed;
  const rows = byMonth.map((row) => ({ day: MONTHS[row.month].month, v: row.n_currencies <= 1 && !row.n_mixed ? row.paid_amount_12m : null }));
  // A rolling year that is not full yet says nothing.
  const told = rows.slice(Math.min(11, rows.length - 1));
  const write = (v) => money(v, now.currency);
  return {
    title: t('paid_title'),
    says: single ? t('paid_says', { paid: write(now.paid_amount_12m), discount: percent(now.list_amount_12m ? 1 - now.paid_amount_with_list_12m / now.list_amount_12m : null), margin: percent(ratio(now.margin_amount_12m, now.paid_amount_with_cost_12m)) }) : null,
    keys: [],
    empty: !told.some((r) => r.v),
    spec: told.some((r) => r.v) ? lines({ days: told.map((r) => r.day), series: [{ key: 'paid', label: write(told.at(-1).v), color: C(0), values: told.map((r) => r.v) }], width, write }) : null,
    table: { columns: [monthColumn(), { label: t('paid_amount_12m'), type: 'money', name: 'paid_amount_12m', currency: now.currency }], rows: told.map((r) => [r.day, r.v]) },
  };
};

const coverage = (width) => {
  const states = ['contactable', 'not_contactable', 'missing'];
  const roles = Object.keys(DATA.accounts.coverage);
  const n = DATA.accounts.byMonth.at(-1).n_accounts;
  const series = states.map((key, i) => ({ key, label: t(`cover_${key}`), color: [C(2), 'var(--band2)', 'var(--behind)'][i], ink: [null, 'var(--on-light)', INK][i] }));
  const rows = roles.map((role) => ({ label: t(`role_${role}`), values: DATA.accounts.coverage[role], whole: n }));
  return {
    title: t('coverage_title'),
    says: t('coverage_says', { n: count(DATA.accounts.coverage.decision_maker.contactable || 0), of: count(n) }),
    keys: [],
    legend: series,
    spec: parts({ rows, series, width, row: 46 }),
    table: { columns: [{ label: t('role'), type: 'text', name: 'role' }, ...series.map((s) => ({ label: s.label, type: 'count', name: s.key }))], rows: rows.map((r) => [r.label, ...states.map((s) => r.values[s] || 0)]) },
  };
};

const ACCOUNT_TYPES = { account_name: 'text', industry: 'text', paid_amount_12m: 'money', discount_rate_12m: 'percent', margin_rate_12m: 'percent', contract_status: 'text', next_contract_end_date: 'date' };

const accountList = () => {
  const { columns, rows, byMonth } = DATA.accounts;
  const now = byMonth.at(-1);
  const shown = columns.map((name, i) => ({ name, i })).filter(({ name }) => !['currency', 'n_contacts', 'n_roles_missing'].includes(name));
  const currencies = new Set(rows.map((row) => row[columns.indexOf('currency')]).filter(Boolean));
  const currency = currencies.size === 1 ? [...currencies][0] : null;
  const table = {
    columns: shown.map(({ name }) => ({ name, label: t(name), type: ACCOUNT_TYPES[name] || 'count', currency })),
    rows: rows.map((row) => shown.map(({ name, i }) => (name === 'contract_status' ? t(`contract_${row[i]}`) : row[i]))),
  };
  return {
    title: t('accounts_title'),
    says: t('accounts_says', { n: count(now.n_accounts), contracted: count(now.n_contracted), ending: count(now.n_contracts_ending_3m) }),
    note: [t('accounts_note'), rows.length < now.n_accounts ? t('accounts_listed', { n: count(rows.length), of: count(now.n_accounts) }) : ''].join(' ').trim(),
    keys: [],
    isTable: true,
    nodes: [h('div', { class: 'tall' }, tableOf(table, t('accounts_title')))],
    table,
  };
};

// `wide` figures take the whole line.
const SECTIONS = [
  { id: 'bathtub', figures: [['tub', bathtub, 'wide'], ['flows', flowsByMonth, 'wide']] },
  { id: 'recency', figures: [['recency-bands', recency, 'wide']] },
  { id: 'status_section', figures: [['statuses', byStatus(false)], ['statuses-recent', byStatus(true)]] },
  { id: 'acquisition', figures: [['new-profiles', acquisition], ['prospect-ages', prospectAges]] },
  { id: 'cohorts', figures: [['cohort-conversion', cohorts, 'wide']] },
  { id: 'people', figures: [['ages', people], ['genders', genders]] },
  { id: 'fill', figures: [['fill-by-source', fill, 'wide'], ['fill-over-time', fillOverTime, 'wide']] },
  { id: 'contact', figures: [['funnel', contactability], ['contact-over-time', contactOverTime]] },
  { id: 'scorecard', figures: [['source-scorecard', scorecard, 'wide']] },
  { id: 'retention', figures: [['due', retention], ['overdue-over-time', retentionOverTime]] },
  { id: 'projection', figures: [['projection-base', projection('base')], ['projection-active', projection('active')]] },
  { id: 'challenges', heading: 'challenges_title', node: challenges },
  { id: 'accounts', figures: [['paid', paid], ['coverage', coverage], ['companies', accountList, 'wide']], needs: () => DATA.accounts },
  { id: 'definitions', heading: 'definitions_title', node: definitions },
];
