// Vega-Lite specifications. Colours are the style sheet's variables: they follow light, dark and print by themselves.

const INK = 'var(--ink)';
const SOFT = 'var(--soft)';
const GRID = 'var(--grid)';
const PAPER = 'var(--paper)';
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const LABEL = 12;

const CONFIG = {
  font: FONT,
  aria: false,
  background: null,
  view: { stroke: null },
  axis: {
    labelColor: SOFT, titleColor: SOFT, labelFontSize: LABEL, titleFontSize: LABEL, titleFontWeight: 'normal',
    domainColor: GRID, tickColor: GRID, gridColor: GRID, labelLimit: 180,
  },
  text: { fill: INK, fontSize: LABEL, font: FONT },
  header: { labelColor: INK },
};

const measuring = document.createElement('canvas').getContext('2d');
function textWidth(text, size = LABEL) {
  measuring.font = `${size}px ${FONT}`;
  return measuring.measureText(text).width;
}
const widest = (texts) => Math.max(0, ...texts.map((text) => textWidth(text)));

/** An end of an axis that leaves the highest value room, in round steps. */
function niceEnd(max, steps = 5) {
  if (!(max > 0)) return 1;
  const raw = max / steps;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((n) => n * power >= raw) * power;
  return Math.ceil(max / step) * step;
}

/** Labels that would overlap are moved apart: heights in pixels from the top, in the order of the values. */
function spread(heights, height, gap = LABEL + 3) {
  const order = heights.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y);
  for (let k = 1; k < order.length; k += 1) order[k].y = Math.max(order[k].y, order[k - 1].y + gap);
  let floor = height;
  for (let k = order.length - 1; k >= 0; k -= 1) {
    order[k].y = Math.min(order[k].y, floor);
    floor = order[k].y - gap;
  }
  const placed = [];
  order.forEach(({ y, i }) => { placed[i] = y; });
  return placed;
}

/** The months as words of an axis, and those of them that have room. */
function monthAxis(days, width) {
  const names = days.map(shortMonth);
  const each = (widest(names) + 14) / Math.max(1, width / names.length);
  const step = [1, 2, 3, 6, 12, 24].find((n) => n >= each) || 24;
  const shown = names.filter((_, i) => (names.length - 1 - i) % step === 0);
  return { names, axis: { values: shown, labelAngle: 0, title: null, grid: false, ticks: false, labelPadding: 6, labelOverlap: false } };
}

const ordinal = (field, sort, axis) => ({ field, type: 'ordinal', sort, scale: { domain: sort }, axis });

function valueAxis(end, isShare, low = 0) {
  return {
    scale: { domain: [low, end], nice: false, zero: false },
    axis: { format: isShare ? (end <= 0.1 ? '.1%' : '.0%') : end <= 4 ? ',~f' : ',.0f', tickCount: 5, title: null, domain: false, ticks: false },
  };
}

const axisRoom = (end, isShare) => textWidth(isShare ? percent(end, end <= 0.1 ? 1 : 0) : count(end)) + 16;

/** Months that are drawn lighter, where some are and some are not. */
function veiled(days) {
  const lighter = days.filter((day) => MONTHS.find((m) => m.month === day)?.reconstructed);
  return lighter.length < MONTHS.length && MONTHS.some((m) => !m.reconstructed) ? lighter.map((day) => ({ m: shortMonth(day) })) : [];
}

const overWholeHeight = { y: { value: 0 }, y2: { value: 'height' } };

function veilLayer(days, x) {
  const lighter = veiled(days);
  return lighter.length
    ? [{ data: { values: lighter }, mark: { type: 'rect', fill: PAPER, opacity: 0.5, tooltip: null }, encoding: { x, ...overWholeHeight } }]
    : [];
}

/** A month's figures appear wherever the pointer is above it. */
function hoverLayer(tips, x) {
  return {
    name: 'hover',
    data: { values: tips },
    mark: { type: 'bar', fill: INK, opacity: 0, tooltip: true, width: { band: 1 } },
    encoding: { x, ...overWholeHeight, tooltip: { field: 'tip', type: 'nominal' } },
  };
}

const colon = () => (state.lang === 'fr' ? '\u00a0:' : ':');
const tipOf = (day, series, write) =>
  [capital(longMonth(day)), ...series.map(({ label, value }) => `${label}${colon()} ${write(value)}`)].join('\n');

function endLabels(labels, width) {
  return {
    data: { values: labels },
    mark: { type: 'text', align: 'left', baseline: 'middle', dx: 8, tooltip: null },
    encoding: { x: { value: width }, y: { field: 'y', type: 'quantitative', scale: null, title: null }, text: { field: 'label' } },
  };
}

/** Layers one over the other, from the top series down; names and figures of the last month at their end. */
function stacked({ days, series, width, height = 260, isShare = false, names = true }) {
  const totals = days.map((_, i) => add(series.map((s) => s.values[i] || 0)));
  const end = isShare ? 1 : niceEnd(Math.max(...totals));
  const last = days.length - 1;
  const write = isShare ? (n) => percent(n) : count;
  const texts = series.map((s) => s.label);
  const room = names ? widest(texts) + 12 : 4;
  const inner = Math.max(120, width - axisRoom(end, isShare) - room);
  const { names: months, axis } = monthAxis(days, inner);
  const x = ordinal('m', months, axis);
  const values = [];
  const labels = [];
  let below = days.map(() => 0);
  [...series].reverse().forEach((s) => {
    const above = below.map((from, i) => from + (s.values[i] || 0));
    days.forEach((_, i) => values.push({ m: months[i], s: s.key, from: below[i], to: above[i] }));
    labels.unshift({ at: (below[last] + above[last]) / 2, label: s.label });
    below = above;
  });
  const heights = spread(labels.map((l) => height * (1 - l.at / end)), height);
  const colors = { scale: { domain: series.map((s) => s.key), range: series.map((s) => s.color) }, legend: null };
  const y = { field: 'from', type: 'quantitative', ...valueAxis(end, isShare) };
  // One month makes no area.
  const mark = days.length > 1 ? { type: 'area', opacity: 1, stroke: PAPER, strokeWidth: 0.6 } : { type: 'bar', width: { band: 0.5 } };
  const tips = days.map((day, i) => ({
    m: months[i],
    tip: tipOf(day, [...series.map((s) => ({ label: s.label, value: s.values[i] })), ...(isShare ? [] : [{ label: t('total'), value: totals[i] }])], write),
  }));
  return {
    width: inner,
    height,
    layer: [
      { data: { values }, mark: { ...mark, tooltip: null }, encoding: { x, y, y2: { field: 'to' }, fill: { field: 's', type: 'nominal', ...colors }, ...(days.length > 1 ? { detail: { field: 's' } } : {}) } },
      ...veilLayer(days, x),
      ...(names ? [endLabels(labels.map((l, i) => ({ y: heights[i], label: l.label })), inner)] : []),
      hoverLayer(tips, x),
    ],
  };
}

/** Lines, named at their end; dashed ones where `dash` says so; a band behind where `band` has low and high. */
function lines({ days, series, width, height = 260, isShare = false, band = null, fromZero = true, write = null }) {
  const all = [...series.flatMap((s) => s.values), ...(band ? [...band.high, ...band.low] : [])].filter((v) => v !== null && v !== undefined);
  const end = niceEnd(Math.max(...all, 0));
  const low = fromZero ? 0 : Math.min(...all);
  const told = write || (isShare ? (n) => percent(n) : count);
  const room = widest(series.map((s) => s.label)) + 14;
  const inner = Math.max(120, width - axisRoom(end, isShare) - room);
  const { names: months, axis } = monthAxis(days, inner);
  const x = ordinal('m', months, axis);
  const values = series.flatMap((s) =>
    s.values.map((v, i) => ({ m: months[i], i, s: s.key, v })).filter((point) => point.v !== null && point.v !== undefined));
  const lasts = series.map((s) => s.values.findLast((v) => v !== null && v !== undefined)).map((v) => v ?? 0);
  const heights = spread(lasts.map((v) => height * (1 - (v - low) / (end - low))), height);
  const colors = { scale: { domain: series.map((s) => s.key), range: series.map((s) => s.color) }, legend: null };
  const y = { field: 'v', type: 'quantitative', ...valueAxis(end, isShare, low) };
  const stroke = { field: 's', type: 'nominal', ...colors };
  const points = series.flatMap((s) => {
    const i = s.values.findLastIndex((v) => v !== null && v !== undefined);
    return i < 0 ? [] : [{ m: months[i], s: s.key, v: s.values[i] }];
  });
  const tips = days.map((day, i) => ({
    m: months[i],
    tip: tipOf(day, [
      ...series.filter((s) => s.values[i] !== null && s.values[i] !== undefined).map((s) => ({ label: s.label, value: s.values[i] })),
      ...(band && band.low[i] !== null ? [{ label: t('low'), value: band.low[i] }, { label: t('high'), value: band.high[i] }] : []),
    ], told),
  }));
  const bands = band
    ? [{
        data: { values: days.map((_, i) => ({ m: months[i], low: band.low[i], high: band.high[i] })).filter((d) => d.low !== null) },
        mark: { type: 'area', fill: band.color, opacity: 0.2, tooltip: null },
        encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' } },
      }]
    : [];
  const dashes = { field: 's', type: 'nominal', scale: { domain: series.map((s) => s.key), range: series.map((s) => (s.dash ? [5, 4] : [1, 0])) }, legend: null };
  return {
    width: inner,
    height,
    layer: [
      ...bands,
      { data: { values }, mark: { type: 'line', strokeWidth: 2.5, tooltip: null }, encoding: { x, y, order: { field: 'i' }, stroke, strokeDash: dashes } },
      { data: { values: points }, mark: { type: 'point', filled: true, size: 50, opacity: 1, tooltip: null }, encoding: { x, y, fill: stroke } },
      ...veilLayer(days, x),
      endLabels(series.map((s, i) => ({ y: heights[i], label: s.label })), inner),
      hoverLayer(tips, x),
    ],
  };
}

/** Bars above zero and below it, and the net as dots. */
function diverging({ days, above, below, width, height = 280 }) {
  const ups = days.map((_, i) => add(above.map((s) => s.values[i])));
  const downs = days.map((_, i) => add(below.map((s) => s.values[i])));
  const low = -niceEnd(Math.max(...downs), 3);
  const inner = Math.max(120, width - axisRoom(low, false) - 8);
  const { names: months, axis } = monthAxis(days, inner);
  const x = ordinal('m', months, { ...axis, domain: false });
  const values = [];
  const pile = (series, sign) => {
    let from = days.map(() => 0);
    series.forEach((s) => {
      const to = from.map((v, i) => v + sign * s.values[i]);
      days.forEach((_, i) => values.push({ m: months[i], s: s.key, from: from[i], to: to[i] }));
      from = to;
    });
  };
  pile(above, 1);
  pile(below, -1);
  const all = [...above, ...below];
  const top = niceEnd(Math.max(...ups), 3);
  const y = { field: 'from', type: 'quantitative', scale: { domain: [low, top], nice: false }, axis: { format: ',.0f', tickCount: 6, title: null, domain: false, ticks: false } };
  const net = days.map((_, i) => ({ m: months[i], v: ups[i] - downs[i] }));
  const tips = days.map((day, i) => ({
    m: months[i],
    tip: tipOf(day, [
      ...above.map((s) => ({ label: s.label, value: s.values[i] })),
      ...below.map((s) => ({ label: s.label, value: -s.values[i] })),
      { label: t('net'), value: net[i].v },
    ], signed),
  }));
  return {
    width: inner,
    height,
    layer: [
      { data: { values }, mark: { type: 'bar', width: { band: 0.72 }, tooltip: null }, encoding: { x, y, y2: { field: 'to' }, fill: { field: 's', type: 'nominal', scale: { domain: all.map((s) => s.key), range: all.map((s) => s.color) }, legend: null } } },
      { data: { values: [{}] }, mark: { type: 'rule', stroke: SOFT, tooltip: null }, encoding: { y: { datum: 0, title: null } } },
      { data: { values: net }, mark: { type: 'point', filled: true, fill: INK, stroke: PAPER, strokeWidth: 1, size: 45, opacity: 1, tooltip: null }, encoding: { x, y: { ...y, field: 'v' } } },
      ...veilLayer(days, x),
      hoverLayer(tips, x),
    ],
  };
}

/** Bars of this year before those of last year; `marks` name some of them. */
function barsBefore({ days, values: now, earlier, width, height = 260, color, marks, labels }) {
  const end = niceEnd(Math.max(...now, ...earlier.map((v) => v || 0)) * 1.08);
  const inner = Math.max(120, width - axisRoom(end, false) - 8);
  const { names: months, axis } = monthAxis(days, inner);
  const x = ordinal('m', months, axis);
  const y = { field: 'v', type: 'quantitative', ...valueAxis(end, false) };
  const layer = (list, fill, band) => ({
    data: { values: list.map((v, i) => ({ m: months[i], v })).filter((d) => d.v !== null) },
    mark: { type: 'bar', fill, width: { band }, tooltip: null },
    encoding: { x, y },
  });
  const named = marks.map(({ at, label }) => ({ m: months[at], v: Math.max(now[at], earlier[at] || 0), label }));
  const tips = days.map((day, i) => ({
    m: months[i],
    tip: tipOf(day, [{ label: labels[0], value: now[i] }, ...(earlier[i] === null ? [] : [{ label: labels[1], value: earlier[i] }])], count),
  }));
  const edge = inner / days.length / 2;
  return {
    width: inner,
    height,
    layer: [
      layer(earlier, 'var(--behind)', 0.9),
      layer(now, color, 0.55),
      ...veilLayer(days, x),
      ...named.map((d) => ({
        data: { values: [d] },
        encoding: { x, y, text: { field: 'label' } },
        // A rim of paper keeps the text apart from the bars beside.
        layer: [{ stroke: PAPER, strokeWidth: 4, strokeJoin: 'round' }, {}].map((more) => ({
          mark: { type: 'text', baseline: 'bottom', dy: -4, fontWeight: 600, tooltip: null, align: alignAt(months.indexOf(d.m) * 2 * edge + edge, textWidth(d.label) * 1.1, inner), ...more },
        })),
      })),
      hoverLayer(tips, x),
    ],
  };
}

/** How a text is set so that it stays within the width. */
const alignAt = (at, width, whole) => (at - width / 2 < 0 ? 'left' : at + width / 2 > whole ? 'right' : 'center');

const CLASSES = 7;

/** Cells coloured in steps of a share; the figure stands in each where it has room. */
function heat({ xs, ys, cells, width, row = 26, end = 1, xTitle = null, start = 0 }) {
  const left = Math.min(180, widest(ys)) + 12;
  const fits = widest(xs) + 6 < (width - left - 6) / xs.length;
  const angle = fits ? 0 : -45;
  // A slanted label reaches over the right edge.
  const inner = Math.max(160, width - left - 6 - (fits ? 0 : widest(xs.slice(-1)) * 0.72));
  const each = inner / xs.length;
  const step = (v) => `h${Math.max(0, Math.min(CLASSES - 1, Math.floor(((v - start) / (end - start || 1)) * CLASSES)))}`;
  const size = each < 34 ? 10 : 12;
  const values = cells.map(({ x, y, v, tip }) => ({ x, y, v, tip, c: step(v), text: each < 18 ? '' : each < 44 ? String(Math.round(v * 100)) : percent(v, 0) }));
  const steps = Array.from({ length: CLASSES }, (_, i) => `h${i}`);
  const names = Array.from({ length: CLASSES }, (_, i) => `var(--heat${i})`);
  const inks = Array.from({ length: CLASSES }, (_, i) => `var(--heat-ink${i})`);
  const x = ordinal('x', xs, { orient: 'top', title: xTitle, labelAngle: angle, labelAlign: angle ? 'left' : 'center', labelLimit: 150, labelOverlap: false, labelPadding: 6, domain: false, ticks: false, grid: false });
  const y = ordinal('y', ys, { title: null, domain: false, ticks: false, grid: false, labelLimit: 180, labelPadding: 8 });
  return {
    width: inner,
    height: row * ys.length,
    data: { values },
    layer: [
      { mark: { type: 'rect', stroke: PAPER, strokeWidth: 1.5, tooltip: true }, encoding: { x, y, fill: { field: 'c', type: 'nominal', scale: { domain: steps, range: names }, legend: null }, tooltip: { field: 'tip', type: 'nominal' } } },
      { mark: { type: 'text', fontSize: size, tooltip: null, baseline: 'middle' }, encoding: { x, y, text: { field: 'text' }, fill: { field: 'c', type: 'nominal', scale: { domain: steps, range: inks }, legend: null } } },
    ],
    resolve: { scale: { fill: 'independent' } },
  };
}

/** One bar per line, of parts that make a whole; shares stand in the parts that have room. */
function parts({ rows, series, width, row = 34 }) {
  const left = widest(rows.map((r) => r.label)) + 14;
  const inner = Math.max(140, width - left - 8);
  const values = [];
  rows.forEach((r) => {
    let from = 0;
    series.forEach((s) => {
      const share = ratio(r.values[s.key] || 0, r.whole) || 0;
      values.push({
        y: r.label, s: s.key, from, to: from + share, middle: from + share / 2,
        text: share * inner > 40 ? percent(share, 0) : '',
        tip: `${r.label}\n${s.label}${colon()} ${count(r.values[s.key] || 0)} (${percent(share)})`,
      });
      from += share;
    });
  });
  const y = ordinal('y', rows.map((r) => r.label), { title: null, domain: false, ticks: false, grid: false, labelFontSize: 13, labelColor: INK, labelPadding: 8 });
  const x = { field: 'from', type: 'quantitative', scale: { domain: [0, 1], nice: false }, axis: { format: '.0%', tickCount: width < 500 ? 3 : 5, title: null, domain: false, ticks: false } };
  const keys = series.map((s) => s.key);
  return {
    width: inner,
    height: row * rows.length,
    data: { values },
    layer: [
      { mark: { type: 'bar', height: { band: 0.74 }, stroke: PAPER, strokeWidth: 1, tooltip: true }, encoding: { y, x, x2: { field: 'to' }, fill: { field: 's', type: 'nominal', scale: { domain: keys, range: series.map((s) => s.color) }, legend: null }, tooltip: { field: 'tip', type: 'nominal' } } },
      { mark: { type: 'text', baseline: 'middle', tooltip: null }, encoding: { y, x: { ...x, field: 'middle' }, text: { field: 'text' }, fill: { field: 's', type: 'nominal', scale: { domain: keys, range: series.map((s) => s.ink || 'var(--on-color)') }, legend: null } } },
    ],
    resolve: { scale: { fill: 'independent' } },
  };
}

/** Bars to the left and to the right of a middle. */
function pyramid({ rows, left, right, width, row = 26 }) {
  const end = Math.max(0.01, ...rows.flatMap((r) => [r.left, r.right]));
  const label = widest(rows.map((r) => r.label)) + 14;
  const inner = Math.max(160, width - label - 8);
  const values = rows.flatMap((r) => [
    { y: r.label, v: -r.left, s: 'left', text: percent(r.left), tip: `${r.label}\n${left.label} ${percent(r.left)}` },
    { y: r.label, v: r.right, s: 'right', text: percent(r.right), tip: `${r.label}\n${right.label} ${percent(r.right)}` },
  ]);
  const y = ordinal('y', rows.map((r) => r.label), { title: null, domain: false, ticks: false, grid: false, labelColor: INK });
  // Room for the figures beside the longest bars.
  const reach = (end * (inner / 2)) / Math.max(30, inner / 2 - textWidth(percent(0.105)) - 8);
  const x = { field: 'v', type: 'quantitative', scale: { domain: [-reach, reach], nice: false }, axis: null };
  const text = (side, align, dx) => ({
    transform: [{ filter: { field: 's', equal: side } }],
    mark: { type: 'text', align, dx, baseline: 'middle', tooltip: null, fontSize: 11 },
    encoding: { y, x, text: { field: 'text' } },
  });
  return {
    width: inner,
    height: row * rows.length,
    data: { values },
    layer: [
      { mark: { type: 'bar', height: { band: 0.78 }, tooltip: true }, encoding: { y, x, fill: { field: 's', type: 'nominal', scale: { domain: ['left', 'right'], range: [left.color, right.color] }, legend: null }, tooltip: { field: 'tip', type: 'nominal' } } },
      { data: { values: [{}] }, mark: { type: 'rule', stroke: SOFT, tooltip: null }, encoding: { x: { datum: 0, axis: null } } },
      text('left', 'right', -4),
      text('right', 'left', 4),
      ...[['left', left, -end * 0.65], ['right', right, end * 0.65]].map(([, side, at]) => ({
        data: { values: [{ v: at, label: side.label }] },
        mark: { type: 'text', baseline: 'bottom', fontWeight: 600, tooltip: null },
        encoding: { x: { field: 'v', type: 'quantitative', axis: null }, y: { value: -6 }, text: { field: 'label' } },
      })),
    ],
  };
}

/** Bars with their figures at the end. */
function plainBars({ rows, width, row = 38 }) {
  const label = widest(rows.map((r) => r.label)) + 14;
  const inner = Math.max(120, width - label - widest(rows.map((r) => r.text)) - 20);
  const end = Math.max(1, ...rows.map((r) => r.value));
  const y = ordinal('label', rows.map((r) => r.label), { title: null, domain: false, ticks: false, grid: false, labelColor: INK, labelFontSize: 13, labelPadding: 8 });
  const x = { field: 'value', type: 'quantitative', scale: { domain: [0, end], nice: false }, axis: null };
  return {
    width: inner,
    height: row * rows.length,
    data: { values: rows.map((r) => ({ ...r, tip: `${r.label}\n${r.text}` })) },
    layer: [
      { mark: { type: 'bar', height: { band: 0.62 }, tooltip: true }, encoding: { y, x, fill: { field: 'label', type: 'nominal', scale: { domain: rows.map((r) => r.label), range: rows.map((r) => r.color) }, legend: null }, tooltip: { field: 'tip', type: 'nominal' } } },
      { mark: { type: 'text', align: 'left', dx: 6, baseline: 'middle', tooltip: null, fontSize: 13 }, encoding: { y, x, text: { field: 'text' } } },
    ],
  };
}
