// Metadata of runs and events: the user's pairs, and what the pairs of the engine say.

import { element } from '../dom.js';
import { isId, shortId } from '../format.js';

/** Keys that the engine and the client add for themselves. */
const OWN_KEYS = ['rust_sdk_call', 'rust_sdk_trigger'];

/** Splits metadata into the user's pairs and the pairs of the engine and the client. */
export function splitMetadata(metadata) {
  const own = (key) => key.startsWith('hatchet__') || OWN_KEYS.includes(key);
  const pairs = Object.entries(metadata ?? {});
  return { user: pairs.filter(([key]) => !own(key)), internal: pairs.filter(([key]) => own(key)) };
}

/** The user's pairs as an object. */
export const userMetadata = (metadata) => Object.fromEntries(splitMetadata(metadata).user);

/** The id of the parent run of a child; null if the metadata has none. Clients can send any value. */
export function parentOf(metadata) {
  const id = metadata?.hatchet__parent_workflow_run_id;
  return typeof id === 'string' && isId(id) ? id : null;
}

/** The link to the parent run of a child. */
export function parentLink(metadata) {
  const id = parentOf(metadata);
  return id ? element('a', { href: `#/runs/${id}`, class: 'tag' }, `child of ${shortId(id)}`) : null;
}

/** The cron or event that triggered a run. */
export function originTag(metadata) {
  const { hatchet__cron_name: name, hatchet__cron_expression: rule, hatchet__event_key: event } = metadata ?? {};
  const text = rule ? `cron ${name || rule}` : event ? `event ${event}` : null;
  return text ? element('span', { class: 'tag' }, text) : null;
}
