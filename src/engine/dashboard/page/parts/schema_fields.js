// Fields of a form for the kinds of a JSON Schema.
//
// A control has `node`, `read(path, errors)`, which returns the value, or undefined if it is left out, and adds the texts
// that are no value to `errors`, and `show(path, errors)`, which places the errors of its path. Paths are passed down
// because the index of an item changes when another one is removed.
//
// A schema may contain itself. A group of such a schema is drawn inside another one if the user adds it or if the value
// that the form starts with has it, so that the form ends.

import { element } from '../dom.js';
import {
  alternatives, enumeration, equal, infiniteNumber, isNullable, lossyInteger, nameOf, propertiesOf, referencesOf, requiredOf, resolve, rulesOf, tooManyDigits,
  typesOf, validate,
} from './schema.js';

let ids = 0;
const newId = (name) => `${name}-${++ids}`;

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/**
 * The control of a schema. `options`: `value` to start with (undefined: the default of the schema), `required`, `id` of
 * the input, `describedBy` ids of its texts, `label` of the field, `isGiven`: whether the value is part of the value that
 * the form starts with, not of a default, `around`: references of the groups around that are drawn without the user.
 */
export function control(schema, root, options) {
  const resolved = resolve(schema, root);
  const found = alternatives(resolved, root);
  const isGiven = options.isGiven && options.value !== undefined;
  const around = isGiven ? [] : options.around ?? [];
  const references = [resolved, ...(found.length === 1 ? found : [])].flatMap(referencesOf);
  const field = {
    ...options, root, nullable: isNullable(resolved, root), fallback: resolved.default,
    value: options.value === undefined ? resolved.default : options.value,
    isGiven, references, around: [...around, ...references], isCircular: references.some((one) => around.includes(one)),
  };
  if (resolved.unresolved !== undefined) return jsonControl(resolved, field);
  if ('const' in resolved) return fixedControl(resolved.const, field);
  const values = enumeration(resolved, root);
  if (values) return selectControl(values, field);
  if (found.length > 1) return optional(field, (inner) => variantControl(found, inner));
  const [only] = found;
  if ('const' in only) return selectControl([{ value: only.const }], field);
  if (Array.isArray(only.enum)) return selectControl(only.enum.map((value) => ({ value })), field);
  switch (typesOf(only)[0]) {
    case 'boolean': return booleanControl(field);
    case 'integer': case 'number': return numberControl(only, field);
    case 'string': return textControl(only, field);
    case 'array':
      if (Array.isArray(only.prefixItems)) return optional(field, (inner) => tupleControl(only, inner));
      if (!isObject(only.items)) return jsonControl(only, field);
      return field.nullable || field.isCircular ? optional(field, (inner) => arrayControl(only, inner)) : arrayControl(only, field);
    case 'object':
      if (Object.keys(propertiesOf(only)).length === 0) return jsonControl(only, field);
      return optional(field, (inner) => objectControl(only, inner));
    default: return jsonControl(only, field);
  }
}

/** The value of an empty field: null if it may be null and null differs from leaving it out. */
function absent({ nullable, required, fallback }) {
  return nullable && (required || (fallback !== undefined && fallback !== null)) ? null : undefined;
}

const samePath = (a, b) => a.length === b.length && a.every((key, at) => String(key) === String(b[at]));
const isBelow = (path, error) => error.length > path.length && path.every((key, at) => String(key) === String(error[at]));

/** A control of a single input, which `read` turns into a value or throws the text of an error. */
function leaf(input, read, node = input) {
  return {
    node,
    read(path, errors) {
      try {
        return read();
      } catch (error) {
        errors.push({ path, message: error.message });
        return undefined;
      }
    },
    show(path, errors) {
      const isInvalid = errors.some((error) => samePath(path, error.path) || isBelow(path, error.path));
      if (isInvalid) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
    },
  };
}

const attributes = ({ id, describedBy, required }) => ({
  id, 'aria-describedby': describedBy, 'aria-required': required ? 'true' : null, autocomplete: 'off', spellcheck: 'false',
});

const placeholder = (schema, field) => {
  if (schema.examples?.[0] !== undefined) return `for example ${text(schema.examples[0])}`;
  return absent(field) === null ? 'null' : null;
};

const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

function fixedControl(value, field) {
  const node = element('output', { id: field.id, class: 'fixed' }, text(value));
  return { node, read: () => value, show() {} };
}

function selectControl(values, field) {
  const chosen = values.findIndex((one) => equal(one.value, field.value));
  const hasEmpty = chosen < 0 || !field.required || field.nullable;
  const empty = absent(field) === null ? 'null' : field.required ? 'choose …' : 'left out';
  const input = element('select', attributes(field),
    hasEmpty ? element('option', { value: '', selected: chosen < 0 }, empty) : null,
    values.map(({ value, description }, at) => element('option', { value: at, selected: at === chosen },
      description ? `${text(value)} – ${text(description).split('\n')[0]}` : text(value))));
  return leaf(input, () => (input.value === '' ? absent(field) : values[Number(input.value)].value));
}

function booleanControl(field) {
  if (field.nullable || (!field.required && typeof field.value !== 'boolean')) {
    return selectControl([{ value: true }, { value: false }], field);
  }
  const input = element('input', { ...attributes(field), type: 'checkbox', checked: field.value === true });
  return { ...leaf(input, () => input.checked), isInline: true };
}

function numberControl(schema, field) {
  const isInteger = typesOf(schema)[0] === 'integer';
  const input = element('input', {
    ...attributes(field), type: 'text', inputmode: isInteger ? 'numeric' : 'decimal',
    value: typeof field.value === 'number' ? String(field.value) : '', placeholder: placeholder(schema, field),
  });
  return leaf(input, () => {
    const typed = input.value.trim();
    if (typed === '') return absent(field);
    if (!/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(typed)) throw new Error(`must be ${isInteger ? 'an integer' : 'a number'}`);
    refuseLossy(typed);
    return Number(typed);
  });
}

function refuseLossy(json) {
  const infinite = infiniteNumber(json);
  if (infinite) throw new Error(`has the number ${infinite}, which is out of range`);
  const integer = lossyInteger(json);
  if (integer) throw new Error(tooManyDigits(integer));
}

const INPUT_TYPES = { date: 'date', email: 'email', uri: 'url', password: 'password' };

function textControl(schema, field) {
  if (schema.format === 'date-time') return timeControl(schema, field);
  const start = typeof field.value === 'string' ? field.value : '';
  const isLong = start.includes('\n') || schema.contentMediaType || schema.maxLength > 200;
  const input = isLong ? element('textarea', { ...attributes(field), rows: 4 }, start)
    : element('input', {
      ...attributes(field), type: INPUT_TYPES[schema.format] ?? 'text', value: start,
      placeholder: placeholder(schema, field) ?? (schema.format === 'duration' ? 'PT1M30S' : null),
    });
  return leaf(input, () => {
    const isText = input.value !== '' || (!field.nullable && (field.required || typeof field.fallback === 'string'));
    return isText ? input.value : absent(field);
  });
}

/** A time. A text that the user does not change is kept with all its digits and its offset. */
function timeControl(schema, field) {
  const start = typeof field.value === 'string' ? field.value : '';
  const local = localTime(start);
  const input = element('input', { ...attributes(field), type: 'datetime-local', step: '1', value: local });
  return leaf(input, () => {
    if (input.validity.badInput) throw new Error('must be a date and a time');
    if (input.value === '') return absent(field);
    return input.value === local ? start : new Date(input.value).toISOString();
  });
}

/** A time in RFC 3339 as the value of an input: local, in whole seconds. Empty if it is no time. */
export function localTime(time) {
  const at = new Date(time);
  if (!time || Number.isNaN(at.getTime())) return '';
  const two = (number) => String(number).padStart(2, '0');
  const day = `${String(at.getFullYear()).padStart(4, '0')}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** A field for any JSON, for schemas without a control of their own. */
function jsonControl(schema, field) {
  const starts = { object: '{}', array: '[]' };
  const empty = field.required && !field.nullable ? starts[typesOf(schema)[0]] ?? '' : '';
  const start = field.value === undefined || (field.value === null && !field.required) ? empty : JSON.stringify(field.value, null, 2);
  const input = element('textarea', {
    ...attributes(field), class: 'json', rows: Math.min(8, Math.max(2, start.split('\n').length)), placeholder: 'JSON',
  }, start);
  return leaf(input, () => (input.value.trim() === '' ? absent(field) : parseJson(input.value)));
}

/** Parses JSON; the error says where the text is invalid. */
export function parseJson(json) {
  let value;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new Error(`is not valid JSON: ${error.message}`);
  }
  refuseLossy(json);
  return value;
}

/** Parses the text of a field that is a JSON object; an empty text is `{}`. The error names the field. */
export function parseObject(json, field) {
  let value;
  try {
    value = parseJson(json.trim() === '' ? '{}' : json);
  } catch (error) {
    throw new Error(`${field} ${error.message}`);
  }
  if (!isObject(value)) throw new Error(`${field} must be a JSON object`);
  return value;
}

/** A group, with a box that adds it if it may be left out or null, or if its schema contains itself. */
function optional(field, build) {
  const isRequired = field.required && !field.nullable;
  if (isRequired && !field.isCircular) return build(field);
  const otherwise = isRequired ? 'required' : `otherwise ${absent(field) === null ? 'null' : 'left out'}`;
  const id = newId('set');
  const place = element('div', { class: 'group' });
  let inner = null;
  const hasValue = isObject(field.value) || Array.isArray(field.value) || isScalar(field.value);
  const box = element('input', { id, type: 'checkbox', checked: hasValue && !field.isCircular });
  const draw = (around) => {
    inner = box.checked ? build({ ...field, required: true, nullable: false, around }) : null;
    place.replaceChildren(...(inner ? [inner.node] : []));
  };
  box.addEventListener('input', () => draw(field.references));
  draw(field.around);
  const node = element('div', null, element('label', { class: 'inline', for: id }, box, ` set (${otherwise})`), place);
  return {
    node, isGroup: true,
    read: (path, errors) => (inner ? inner.read(path, errors) : absent(field)),
    show: (path, errors) => inner?.show(path, errors),
  };
}

const isScalar = (value) => ['string', 'number', 'boolean'].includes(typeof value);

/** A group of one of several schemas, with a choice between them. */
function variantControl(schemas, field) {
  const matching = schemas.findIndex((schema) => field.value !== undefined && validate(schema, field.value, field.root).length === 0);
  const start = Math.max(0, matching);
  const id = newId('variant');
  const place = element('div');
  const select = element('select', { id, 'aria-label': `kind of ${field.label}` },
    schemas.map((schema, at) => element('option', { value: at, selected: at === start }, nameOf(schema))));
  let inner = null;
  const draw = (around) => {
    const at = Number(select.value);
    const value = at === matching ? field.value : undefined;
    inner = control(schemas[at], field.root, { ...bare(field), value, isGiven: field.isGiven, around, required: true });
    if (!inner.isGroup) inner.node.setAttribute('aria-label', field.label);
    place.replaceChildren(inner.node);
  };
  select.addEventListener('input', () => draw(field.references));
  draw(field.around);
  return {
    node: element('div', { class: 'variant' }, select, place), isGroup: true,
    read: (path, errors) => inner.read(path, errors), show: (path, errors) => inner.show(path, errors),
  };
}

const bare = ({ id, describedBy, label }) => ({ id, describedBy, label });

/** The options that the members of a group have in common. */
const below = ({ isGiven, around }) => ({ isGiven, around });

/** A field with its label, description, rules and place for its error. */
function labelled(name, schema, root, options) {
  const id = newId('field');
  const [hintId, errorId] = [`${id}-hint`, `${id}-error`];
  const resolved = resolve(schema, root);
  const inner = control(schema, root, { ...options, id, describedBy: `${hintId} ${errorId}`, label: name });
  const shown = alternatives(resolved, root);
  const only = shown.length === 1 && !enumeration(resolved, root) && !('const' in resolved) ? shown[0] : {};
  const rules = rulesOf(only);
  const isObvious = rules === 'boolean' || (inner.isGroup && ['object', 'array'].includes(rules));
  const orNull = rules && isNullable(resolved, root) ? ', or null' : '';
  const texts = [resolved.description ?? only.description, isObvious ? '' : rules + orNull];
  const hint = element('p', { class: 'hint', id: hintId }, texts.filter(Boolean).join(' · '));
  const error = element('p', { class: 'error', id: errorId });
  const mark = options.required ? element('span', { class: 'mark', title: 'required' }, ' *') : null;
  const data = { name };
  const node = inner.isGroup
    ? element('fieldset', { class: 'field', data }, element('legend', null, name, mark), hint, inner.node, error)
    : inner.isInline
      ? element('div', { class: 'field', data }, element('label', { class: 'inline', for: id }, inner.node, ' ', name, mark), hint, error)
      : element('div', { class: 'field', data }, element('label', { for: id }, name, mark), inner.node, hint, error);
  return {
    node,
    read: inner.read,
    show(path, errors) {
      const own = errors.filter((one) => (inner.isGroup ? samePath(path, one.path) : samePath(path, one.path) || isBelow(path, one.path)));
      error.textContent = own.map((one) => (samePath(path, one.path) ? one.message : `${one.path.slice(path.length).join('.')} ${one.message}`)).join('; ');
      inner.show(path, errors);
    },
  };
}

function objectControl(schema, field) {
  const required = new Set(requiredOf(schema));
  const from = isObject(field.value) ? field.value : {};
  const properties = propertiesOf(schema);
  const fields = Object.entries(properties).map(([name, property]) =>
    [name, labelled(name, property, field.root, { ...below(field), value: from[name], required: required.has(name) })]);
  const names = new Set(Object.keys(properties));
  const error = element('p', { class: 'error' });
  return {
    node: element('div', { class: 'fields' }, fields.map(([, one]) => one.node), error), isGroup: true,
    read(path, errors) {
      const members = fields.map(([name, one]) => [name, one.read([...path, name], errors)]);
      return Object.fromEntries(members.filter(([, value]) => value !== undefined));
    },
    show(path, errors) {
      for (const [name, one] of fields) one.show([...path, name], errors);
      const others = errors.filter((one) => isBelow(path, one.path) && !names.has(String(one.path[path.length])));
      error.textContent = others.map((one) => `${one.path[path.length]} ${one.message}`).join('; ');
    },
  };
}

/** A list of items of one schema. */
function arrayControl(schema, field) {
  const list = element('ol', { class: 'items' });
  let rows = [];
  const add = (value, options) => {
    const one = labelled('item', schema.items, field.root, { ...options, value, required: true });
    const row = { ...one, item: element('li', null, one.node) };
    row.item.append(element('button', {
      type: 'button', 'aria-label': `remove the item of ${field.label}`,
      on: { click: () => { rows = rows.filter((other) => other !== row); row.item.remove(); changed(list); } },
    }, 'Remove'));
    rows.push(row);
    list.append(row.item);
  };
  for (const value of Array.isArray(field.value) ? field.value : []) add(value, below(field));
  const button = element('button', { type: 'button', on: { click: () => {
    add(undefined, {});
    rows.at(-1).item.querySelector('input, select, textarea')?.focus();
    changed(list);
  } } }, `Add an item to ${field.label}`);
  return {
    node: element('div', { class: 'group' }, list, button), isGroup: true,
    read(path, errors) {
      const value = rows.map((row, at) => row.read([...path, at], errors) ?? null);
      const canBeLeftOut = !field.required && !Array.isArray(field.fallback);
      return value.length === 0 && canBeLeftOut ? undefined : value;
    },
    show: (path, errors) => rows.forEach((row, at) => row.show([...path, at], errors)),
  };
}

/** Tells the form about a change that no input reports. */
const changed = (node) => node.dispatchEvent(new Event('input', { bubbles: true }));

/** A list with a schema for each position. */
function tupleControl(schema, field) {
  const from = Array.isArray(field.value) ? field.value : [];
  const parts = schema.prefixItems.map((part, at) => labelled(`${at + 1}`, part, field.root, { ...below(field), value: from[at], required: true }));
  return {
    node: element('div', { class: 'group' }, parts.map((part) => part.node)), isGroup: true,
    read: (path, errors) => parts.map((part, at) => part.read([...path, at], errors) ?? null),
    show: (path, errors) => parts.forEach((part, at) => part.show([...path, at], errors)),
  };
}
