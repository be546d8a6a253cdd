// What every figure is made of: a title, one sentence, a chart, its table and its file.

const SVG = 'http://www.w3.org/2000/svg';

/** An element; text goes in as text, whatever it contains. */
function h(tag, attributes = {}, ...children) {
  const [name, space] = tag.startsWith('svg:') ? [tag.slice(4), SVG] : [tag, null];
  const element = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const tooltip = h('div', { id: 'tooltip', role: 'presentation', hidden: true });

/** Vega's tooltip handler: `value` is one text, a line per figure. */
function showTooltip(_handler, event, _item, value) {
  if (value === null || value === undefined || value === '') {
    tooltip.hidden = true;
    return;
  }
  tooltip.textContent = value;
  tooltip.hidden = false;
  const room = 12;
  const left = Math.min(event.clientX + room, window.innerWidth - tooltip.offsetWidth - room);
  const above = event.clientY - tooltip.offsetHeight - room;
  tooltip.style.left = `${Math.max(room, left)}px`;
  tooltip.style.top = `${above < room ? event.clientY + room : above}px`;
}

const WRITERS = {
  text: (value) => value,
  month: (value) => longMonth(value),
  date: (value) => shortDay(value),
  count,
  decimal: (value) => decimal(value),
  percent: (value) => percent(value),
  points: (value) => (value === null ? NONE : signedPoints(value, 2)),
};
const NUMERIC = ['count', 'decimal', 'percent', 'points', 'money'];

/** A table of columns `{label, type, name}` and rows of plain values. */
function tableOf({ columns, rows }, caption) {
  const cell = (value, { type, currency }, i) => {
    const text = value === null || value === undefined ? NONE : type === 'money' ? money(value, currency) : WRITERS[type](value);
    return i === 0
      ? h('th', { scope: 'row' }, text)
      : h('td', NUMERIC.includes(type) ? { class: 'figure-cell' } : {}, text);
  };
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h(
      'table',
      {},
      h('caption', { class: 'hidden' }, caption),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          columns.map((c) => h('th', { scope: 'col', class: NUMERIC.includes(c.type) ? 'figure-cell' : null }, c.label)),
        ),
      ),
      h(
        'tbody',
        {},
        rows.map((row) =>
          h(
            'tr',
            {},
            row.map((value, i) => cell(value, columns[i], i)),
          ),
        ),
      ),
    ),
  );
}

/** RFC 4180 with plain figures; a text that a spreadsheet would compute is kept as text. */
function csvOf({ columns, rows }) {
  const field = (value) => {
    if (value === null || value === undefined) return '';
    if (typeof value === 'number') return String(value);
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  const lines = [columns.map((c) => field(c.name || c.label)), ...rows.map((row) => row.map(field))];
  return `\ufeff${lines.map((line) => line.join(',')).join('\r\n')}\r\n`;
}

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function fileName(id) {
  const chosen = FILTERS.filter((name) => state[name] >= 0).map((name) => chosenText(name));
  const words = ['bathtub', DATA.month, id, ...chosen].join('-');
  return `${words.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-')}.csv`;
}

/** What a filter is set to, in words. */
function chosenText(name) {
  if (name === 'source') return sourceName(state.source);
  if (name === 'status') return t(DATA.statuses[state.status]);
  return t(state.recent ? 'recent_yes' : 'recent_no');
}

/** Words of a figure: `says` stands under the title, `note` explains, `keys` are the filters that it can follow. */
function figure(id, make) {
  const body = h('div', { class: 'chart' });
  const element = h('figure', { id, class: 'figure' });
  const fill = () => {
    const made = make(Math.max(260, element.clientWidth - 32 || 600));
    const missed = ignored(made.keys || FILTERS);
    const head = h(
      'figcaption',
      {},
      h('h3', {}, made.title),
      made.says && !made.empty ? h('p', { class: 'says' }, made.says) : null,
      made.note ? h('p', { class: 'note' }, made.note) : null,
      missed.length
        ? h('p', { class: 'ignores' }, t('ignores', { what: missed.map((name) => t(name).toLowerCase()).join(', ') }))
        : null,
    );
    const parts = [head];
    if (made.controls) parts.push(made.controls);
    if (made.empty) parts.push(h('p', { class: 'nothing' }, made.empty === true ? t('nothing') : made.empty));
    else {
      if (made.legend) parts.push(legend(made.legend));
      // The chart of before stays until the new one is drawn: the page does not jump.
      if (made.nodes) body.replaceChildren(...made.nodes);
      else if (!body.firstChild) body.style.minHeight = `${(made.spec.height || 260) + 40}px`;
      parts.push(body);
      if (made.table) parts.push(dataOf(id, made));
    }
    const opened = element.querySelector('details')?.open;
    element.replaceChildren(...parts);
    const details = element.querySelector('details');
    if (details && opened) details.open = true;
    element.dataset.drawn = 'no';
    return made;
  };
  element.fill = fill;
  element.draw = async (made) => {
    try {
      if (made.spec && !made.empty) await drawVega(body, made.spec, made);
    } catch (error) {
      // The others are drawn all the same; the table has the figures.
      console.error(id, error);
      body.replaceChildren(h('p', { class: 'nothing' }, t('not_drawn')));
    }
    body.style.minHeight = '';
    element.dataset.drawn = 'yes';
  };
  return element;
}

function dataOf(id, made) {
  const details = made.isTable ? h('span') : h('details', {}, h('summary', {}, t('table')));
  details.addEventListener('toggle', () => {
    if (details.open && !details.querySelector('table')) details.append(tableOf(made.table, made.title));
  });
  const button = h(
    'button',
    { type: 'button', class: 'csv', 'aria-label': t('csv_of', { what: made.title }), onclick: () => download(fileName(id), csvOf(made.table)) },
    t('csv'),
  );
  return h('div', { class: 'data' }, details, button);
}

const legend = (entries) =>
  h(
    'ul',
    { class: 'legend' },
    entries.map(({ label, color }) => h('li', {}, swatch(color), label)),
  );

function swatch(color) {
  const mark = h('span', { class: 'swatch', 'aria-hidden': 'true' });
  mark.style.background = color;
  return mark;
}

async function drawVega(body, spec, { title, says, note }) {
  const place = h('div', { class: 'vega', role: 'img', 'aria-label': [title, says || note || ''].join('. ') });
  const { finalize } = await window.vegaEmbed(place, { ...spec, config: CONFIG }, {
    mode: 'vega-lite',
    actions: false,
    renderer: 'svg',
    // Expressions are interpreted: the content policy lets no text become code.
    ast: true,
    defaultStyle: false,
    tooltip: showTooltip,
    formatLocale: axisLocale(),
    logLevel: 1,
  });
  // The picture's words are those of its place; its parts say nothing.
  place.querySelector('svg')?.setAttribute('aria-hidden', 'true');
  body.finalize?.();
  body.finalize = finalize;
  body.replaceChildren(place);
}
