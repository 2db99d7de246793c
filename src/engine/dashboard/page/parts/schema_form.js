// A form for the input of a workflow, from the JSON Schema that its worker has registered.

import { element } from '../dom.js';
import { alternatives, resolve, validate } from './schema.js';
import { control, parseJson } from './schema_fields.js';

/**
 * Whether every member of a value is part of another, so that a form that returns the other one has lost nothing. A form
 * leaves out a null that is the default.
 */
function isContained(value, other) {
  if (value === null || typeof value !== 'object') return Object.is(value, other);
  if (other === null || typeof other !== 'object' || Array.isArray(value) !== Array.isArray(other)) return false;
  if (Array.isArray(value) && value.length !== other.length) return false;
  return Object.keys(value).every((key) => (Object.hasOwn(other, key) ? isContained(value[key], other[key]) : value[key] === null));
}

const pathText = (path) => (path.length === 0 ? 'the input' : path.join('.'));

/**
 * A form of the schema, with a switch to raw JSON. It starts with `value`, if there is one, and as JSON if the form
 * cannot show the value. Without a schema, or with one that has no fields, it is JSON only.
 *
 * `value()` returns `{input}`, or places the errors beside the fields and returns `{error}`. `peek()` returns the same and
 * changes nothing.
 */
export function schemaForm(schema, value) {
  const root = schema ?? {};
  const resolved = resolve(root, root);
  const hasFields = Object.keys(resolved.properties ?? {}).length > 0 || alternatives(resolved, root).length > 1;
  const body = element('div');
  const toggle = element('button', { type: 'button', hidden: !hasFields, on: { click: () => switchView() } });
  const raw = element('textarea', { class: 'json', rows: 10, spellcheck: 'false', autocomplete: 'off', 'aria-label': 'Input as JSON' });
  const rawError = element('p', { class: 'error' });
  /** The control of the form; null while the input is shown as JSON. */
  let form = null;
  /** Whether the errors are shown: since the first value with one. */
  let showsErrors = false;

  function showForm(start) {
    const next = control(root, root, { value: start, isGiven: true, around: ['#'], required: true, label: 'the input' });
    const isLossless = start === undefined || isContained(start, next.read([], []));
    if (!isLossless) return false;
    form = next;
    body.replaceChildren(form.node);
    toggle.textContent = 'Edit as JSON';
    return true;
  }

  function showRaw(start) {
    form = null;
    raw.value = JSON.stringify(start, null, 2);
    rawError.textContent = '';
    body.replaceChildren(raw, rawError);
    toggle.textContent = 'Edit as form';
  }

  function switchView() {
    const { input, errors } = read();
    const unreadable = errors.filter((error) => error.isText);
    if (unreadable.length > 0) return showErrors(unreadable);
    showsErrors = false;
    if (form) showRaw(input);
    else if (!showForm(input)) rawError.textContent = 'The form cannot show every part of this input.';
    body.dispatchEvent(new Event('input', { bubbles: true }));
  }

  /** The value, and the errors of texts that are no value and of values that the schema refuses. */
  function read() {
    const errors = [];
    let input;
    if (form) {
      input = form.read([], errors);
    } else {
      try {
        input = parseJson(raw.value.trim() === '' ? '{}' : raw.value);
      } catch (error) {
        errors.push({ path: [], message: error.message });
      }
    }
    errors.forEach((error) => { error.isText = true; });
    const known = new Set(errors.map((error) => error.path.join('/')));
    if (input !== undefined) errors.push(...validate(root, input).filter((error) => !known.has(error.path.join('/'))));
    if (errors.length === 0 && (input === null || typeof input !== 'object' || Array.isArray(input))) {
      errors.push({ path: [], message: 'must be a JSON object' });
    }
    return { input, errors };
  }

  function showErrors(errors) {
    if (form) form.show([], errors);
    else rawError.textContent = errors.map((error) => `${pathText(error.path)} ${error.message}`).join('\n');
  }

  body.addEventListener('input', () => {
    if (showsErrors) showErrors(read().errors);
  });

  if (!hasFields || !showForm(value)) showRaw(value ?? {});
  const node = element('div', { class: 'schema-form' }, element('div', { class: 'line' }, element('strong', null, 'Input'),
    schema ? null : element('span', { class: 'quiet' }, 'the worker has registered no schema'), toggle), body);
  const result = ({ input, errors }) => {
    const [first] = errors;
    return first ? { error: `${pathText(first.path)} ${first.message}` } : { input };
  };
  return {
    node,
    value() {
      const state = read();
      showsErrors = true;
      showErrors(state.errors);
      body.querySelector('[aria-invalid=true]')?.focus();
      return result(state);
    },
    peek: () => result(read()),
  };
}
