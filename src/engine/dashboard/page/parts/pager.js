// The links between the pages of a list.

import { element } from '../dom.js';

/** The number of the page that an address shows. */
export const pageOf = (query) => Math.max(1, Number.parseInt(query.get('page') ?? '1', 10) || 1);

/** The address of a route with other values of its query. A change leads to the first page. */
export function address(route, changes) {
  const query = new URLSearchParams(route.query);
  for (const [key, value] of Object.entries({ page: '', ...changes })) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  return `#/${[route.name, route.id].filter(Boolean).map(encodeURIComponent).join('/')}${query.size > 0 ? `?${query}` : ''}`;
}

/** Links to the previous and the next page; nothing if there is one page. */
export function pager(route, pages) {
  const now = pageOf(route.query);
  if (pages <= 1 && now === 1) return null;
  const link = (text, to, isEnabled) => (isEnabled
    ? element('a', { class: 'button', href: address(route, { page: to > 1 ? String(to) : '' }), rel: to < now ? 'prev' : 'next' }, text)
    : element('span', { class: 'button off', 'aria-disabled': 'true' }, text));
  return element('nav', { class: 'pager', 'aria-label': 'Pages', data: { key: 'pager' } },
    link('← Previous', now - 1, now > 1), element('span', { class: 'quiet' }, `page ${now} of ${Math.max(1, pages)}`),
    link('Next →', now + 1, now < pages));
}
