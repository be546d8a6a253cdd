// The page: banner, filters, sections; what the reader chose stands in the address.

const root = document.getElementById('page');

// ---- the address ----------------------------------------------------------------------------------------------------

/** Names of the choices, so that a link still means the same when the lists change. */
function asAddress() {
  const query = new URLSearchParams();
  query.set('lang', state.lang);
  if (state.source >= 0) query.set('source', DATA.sources[state.source].name ?? '~others');
  if (state.status >= 0) query.set('status', DATA.statuses[state.status]);
  if (state.recent >= 0) query.set('registered', state.recent ? '12m' : 'before');
  if (state.scope !== 'active') query.set('scope', state.scope);
  if (state.period !== 1) query.set('months', String(state.period));
  return `?${query}`;
}

function readAddress() {
  const query = new URLSearchParams(location.search);
  if (query.get('lang') in DATA.words) state.lang = query.get('lang');
  const source = query.get('source');
  state.source = source === null ? -1 : DATA.sources.findIndex((s) => (s.name ?? '~others') === source);
  state.status = (DATA.statuses || []).indexOf(query.get('status'));
  state.recent = ['before', '12m'].indexOf(query.get('registered'));
  state.scope = query.get('scope') === 'base' ? 'base' : 'active';
  state.period = query.get('months') === '12' ? 12 : 1;
}

function choose(changes, focus) {
  Object.assign(state, changes);
  history.replaceState(null, '', asAddress() + location.hash);
  if ('lang' in changes) build();
  else refresh();
  if (focus) root.querySelector(focus)?.focus();
}

// ---- banner and filters ---------------------------------------------------------------------------------------------

function banner() {
  const facts = MONTHS[LAST];
  const lighter = MONTHS.filter((m) => m.reconstructed).length;
  const changed = MONTHS.findLastIndex((m, i) => i && m.version !== MONTHS[i - 1].version);
  const restated = MONTHS.filter((m) => m.restated);
  const folded = DATA.sources.find((s) => s.name === null);
  const { incidents } = DATA;
  const item = (kind, text, title) => h('li', { class: kind, title: title || null }, text);
  return h('ul', { class: 'trust', 'aria-label': t('tiles') },
    item('', t('as_of', { date: longDay(facts.asOf) })),
    item('', facts.closedAt ? t('closed_at', { date: instant(facts.closedAt) }) : t('closed_unknown')),
    item(incidents ? 'bad' : incidents === 0 ? 'good' : '', incidents === null ? t('incidents_unknown') : incidents ? t('incidents_some', { n: count(incidents) }) : t('incidents_none')),
    item('good', t('balanced')),
    item(lighter ? 'warn' : 'good', lighter === MONTHS.length ? t('reconstructed_all', { n: count(lighter) }) : lighter ? t('reconstructed_some', { n: count(lighter), of: count(MONTHS.length) }) : t('reconstructed_none'), lighter ? t('reconstructed_why') : null),
    changed > 0 ? item('warn', t('definition_changed', { month: longMonth(MONTHS[changed].month) })) : null,
    restated.length ? item('warn', t('restated_months', { months: restated.map((m) => longMonth(m.month)).join(', ') }), t('restated_why')) : null,
    DATA.late ? item('', t('late_rows', { n: count(DATA.late.n), first: longMonth(DATA.late.first), last: longMonth(DATA.late.last) }), t('late_why')) : null,
    DATA.monthsLeftOut ? item('', t('months_left_out', { n: count(DATA.monthsLeftOut) })) : null,
    folded ? item('', t('sources_folded', { n: count(folded.count) })) : null);
}

function filterBar() {
  const select = (name, all, options) => {
    const element = h('select', { id: `filter-${name}`, onchange: (event) => choose({ [name]: Number(event.target.value) }) },
      h('option', { value: '-1' }, all), options.map(([value, label]) => h('option', { value: String(value) }, label)));
    element.value = String(state[name]);
    return h('label', { for: `filter-${name}` }, h('span', {}, t(name)), element);
  };
  return h('form', { class: 'filters', 'aria-label': t('filters'), onsubmit: (event) => event.preventDefault() },
    select('source', t('all_sources'), DATA.sources.map((_, i) => [i, sourceName(i)])),
    select('status', t('all_statuses'), DATA.statuses.map((name, i) => [i, t(name)])),
    select('recent', t('recent_all'), [[1, t('recent_yes')], [0, t('recent_no')]]),
    h('button', { type: 'button', class: 'reset', onclick: () => { choose({ source: -1, status: -1, recent: -1 }); root.querySelectorAll('.filters select').forEach((s) => { s.value = '-1'; }); } }, t('reset')));
}

const languages = () =>
  h('div', { class: 'choice languages', role: 'group', 'aria-label': t('language') },
    Object.keys(DATA.words).map((lang) => h('button', { type: 'button', lang, 'data-lang': lang, 'aria-pressed': String(lang === state.lang), onclick: () => choose({ lang }, `[data-lang="${lang}"]`) }, { fr: 'Français', en: 'English' }[lang] || lang)));

// ---- the page -------------------------------------------------------------------------------------------------------

let figures = [];
let round = 0;

const sectionsShown = () => SECTIONS.filter((section) => !section.needs || section.needs());

function build() {
  document.documentElement.lang = state.lang;
  document.title = DATA.month ? `${t('title')} · ${longMonth(MONTHS[LAST].month)}` : t('title');
  if (!DATA.month) {
    root.replaceChildren(h('header', { class: 'top' }, h('div', {}, h('h1', {}, t('title')), h('p', { class: 'question' }, t('question'))), languages()),
      h('main', { class: 'alone' }, h('h2', {}, t('no_month')), h('p', {}, t('no_month_todo'))));
    root.dataset.ready = 'yes';
    return;
  }
  figures = [];
  const nav = h('nav', { 'aria-label': t('sections') }, h('ul', {}, sectionsShown().map(({ id }) => h('li', {}, h('a', { href: `#${id}`, onclick: follow }, t(id))))));
  const main = h('main', { id: 'main', tabindex: '-1' },
    h('p', { id: 'filtered', class: 'filtered', 'aria-live': 'polite' }),
    h('section', { 'aria-labelledby': 'at-a-glance' }, h('h2', { id: 'at-a-glance' }, t('tiles')), h('div', { id: 'tiles' })),
    sectionsShown().map((section) => h('section', { id: section.id, 'aria-labelledby': `${section.id}-title` },
      h('h2', { id: `${section.id}-title` }, t(section.heading || section.id)),
      section.figures
        ? h('div', { class: 'figures' }, section.figures.map(([id, make, size]) => { const f = figure(id, make); if (size) f.classList.add(size); figures.push(f); return f; }))
        : h('div', { class: 'prose', 'data-node': section.id }))));
  root.replaceChildren(
    h('a', { class: 'skip', href: '#main', onclick: follow }, t('skip')),
    h('header', { class: 'top' },
      h('div', {}, h('p', { class: 'report-month' }, capital(lastMonth())), h('h1', {}, t('title')), h('p', { class: 'question' }, t('question'))),
      languages(), banner()),
    h('div', { class: 'bar-top' }, filterBar(), nav),
    main,
    h('footer', {}, h('p', {}, t('footer', { version: MONTHS[LAST].version || NONE })), h('p', {}, t('zone', { zone: DATA.terms.zone }))),
    tooltip);
  refresh();
  const wanted = location.hash && document.getElementById(location.hash.slice(1));
  if (wanted) wanted.scrollIntoView();
}

/** The filters stay in the address beside the section. */
function follow(event) {
  event.preventDefault();
  const id = event.currentTarget.getAttribute('href').slice(1);
  const target = document.getElementById(id);
  history.replaceState(null, '', `${asAddress()}#${id}`);
  target.setAttribute('tabindex', '-1');
  target.focus({ preventScroll: true });
  target.scrollIntoView({ behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
}

const pause = () => new Promise((resolve) => { setTimeout(resolve); });

/** Fill everything at once, then draw the charts one after the other, those in sight first. */
async function refresh() {
  round += 1;
  const mine = round;
  root.dataset.ready = 'no';
  const chosen = FILTERS.filter((name) => state[name] >= 0).map((name) => `${t(name)}${colon()} ${chosenText(name)}`);
  document.getElementById('filtered').textContent = chosen.length ? t('filtered', { what: chosen.join(', ') }) : '';
  document.getElementById('tiles').replaceChildren(tiles());
  for (const section of sectionsShown()) if (section.node) root.querySelector(`[data-node="${section.id}"]`).replaceChildren(section.node());
  const height = window.innerHeight;
  const distance = (f) => { const box = f.getBoundingClientRect(); return box.bottom < 0 ? -box.bottom : Math.max(0, box.top - height); };
  const made = figures.map((f) => [f, f.fill()]);
  for (const [f, one] of made.map((pair) => [pair, distance(pair[0])]).sort((a, b) => a[1] - b[1]).map(([pair]) => pair)) {
    if (mine !== round) return;
    await f.draw(one);
    await pause();
  }
  if (mine === round) root.dataset.ready = 'yes';
}

let resizing;
let width = window.innerWidth;
window.addEventListener('resize', () => {
  // A phone's address bar changes the height alone.
  if (Math.abs(window.innerWidth - width) < 8 || !DATA.month || matchMedia('print').matches) return;
  width = window.innerWidth;
  clearTimeout(resizing);
  resizing = setTimeout(refresh, 200);
});
window.addEventListener('scroll', () => { tooltip.hidden = true; }, { passive: true });
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') tooltip.hidden = true; });

readAddress();
build();
