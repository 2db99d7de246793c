// JSON Schema, as far as input schemas of workers use it: schemas of schemars (Rust) and pydantic (Python).
//
// `resolve` follows references, `validate` returns the violations of a value, and `enumeration`, `alternatives` and
// `isNullable` say how a field shows a schema. Keywords that are not known here never refuse a value: the worker
// validates its input as well.

import { decode } from '../format.js';

/** References that are followed in a row, so that a circular one ends. */
const MAX_REFERENCES = 32;
/** Parts of `allOf` that are merged, so that one that contains itself ends. */
const MAX_PARTS = 256;
/** Lists of alternatives within each other that are combined into one. */
const MAX_LISTS = 256;
/** Alternatives that are added by lists that were read before, in one combination. */
const MAX_REPEATED = 1000;
/** Alternatives by which one value is validated. A value with more is accepted, as the worker validates it as well. */
const MAX_CHOICES = 1000;
/** Depth to which a value is validated. */
const MAX_DEPTH = 64;
/** Violations of a value that are shown. */
const MAX_ERRORS = 100;

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** Key of the references that led to a resolved schema. */
const followed = Symbol('followed references');

/** The references that led to a resolved schema. A schema that contains itself has one of those of an outer schema. */
export const referencesOf = (schema) => schema[followed] ?? [];

/** Follows `$ref` and merges `allOf`. Members next to a reference override those of its target. */
export function resolve(schema, root, budget = { parts: MAX_PARTS }) {
  budget.parts -= 1;
  if (budget.parts < 0) return {};
  if (schema === true || schema === undefined) return {};
  if (!isObject(schema)) return schema === false ? { not: {} } : {};
  let current = schema;
  for (let count = 0; current.$ref !== undefined && count < MAX_REFERENCES; count += 1) {
    const { $ref, ...beside } = current;
    const target = lookUp($ref, root);
    if (!isObject(target)) return { ...beside, unresolved: $ref };
    current = { ...target, ...beside, [followed]: [...referencesOf(current), $ref] };
  }
  if (!Array.isArray(current.allOf)) return current;
  const { allOf, ...beside } = current;
  return [...allOf.map((part) => resolve(part, root, budget)), beside].reduce(merge, {});
}

/** The schema that a reference within the document names; `undefined` if there is none. */
function lookUp(reference, root) {
  if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference)) return undefined;
  const keys = reference.slice(1).split('/').slice(1);
  return keys.reduce((at, key) => (at === null || at === undefined ? undefined : at[decode(key).replaceAll('~1', '/').replaceAll('~0', '~')]), root);
}

function merge(into, part) {
  const merged = { ...into, ...part };
  if (into.properties && part.properties) merged.properties = { ...into.properties, ...part.properties };
  if (Array.isArray(into.required) && Array.isArray(part.required)) merged.required = [...new Set([...into.required, ...part.required])];
  const references = [...referencesOf(into), ...referencesOf(part)];
  if (references.length > 0) merged[followed] = references;
  return merged;
}

/** The types that a resolved schema names. */
export function typesOf(schema) {
  if (typeof schema.type === 'string') return [schema.type];
  return Array.isArray(schema.type) ? schema.type : [];
}

const acceptsOnlyNull = (schema) => schema.const === null || typesOf(schema).every((type) => type === 'null') && 'type' in schema;

/** Whether a resolved schema names null as one of several types or alternatives. */
export function isNullable(schema, root) {
  const isOneOfTypes = (one) => typesOf(one).length > 1 && typesOf(one).includes('null');
  return isOneOfTypes(schema) || choices(schema, root).some((choice) => acceptsOnlyNull(choice) || isOneOfTypes(choice));
}

const NONE = [];
const listOf = (schema) => [schema.anyOf, schema.oneOf].find(Array.isArray) ?? NONE;

/**
 * The resolved alternatives of a resolved schema. An alternative that has alternatives itself is replaced by them, of
 * which equal ones are one. A list within itself adds none: `outer` are the lists around this one. A list is read for
 * each of its uses, until `state` allows no more repetitions.
 */
export function choices(schema, root, outer = [], state = { read: new Set(), repeated: MAX_REPEATED }) {
  const list = listOf(schema);
  if (outer.includes(list) || outer.length >= MAX_LISTS) return [];
  if (state.read.has(list)) state.repeated -= list.length;
  if (state.read.has(list) && state.repeated < 0) return [];
  state.read.add(list);
  const resolved = list.map((choice) => resolve(choice, root));
  if (resolved.every((choice) => listOf(choice) === NONE)) return resolved;
  const found = resolved.flatMap((choice) => {
    if (listOf(choice) === NONE) return [choice];
    const references = { [followed]: referencesOf(choice) };
    return withMembers(choices(choice, root, [...outer, list], state), choice).map((inner) => merge(references, inner));
  });
  return [...new Map(found.map((choice) => [canonical(choice), choice])).values()];
}

/** Alternatives with the members beside them: all with a single one, such as a title and a default, fields with each. */
function withMembers(found, { anyOf, oneOf, [followed]: references, ...beside }) {
  if (found.length === 1) return [merge(found[0], beside)];
  const { properties, required } = beside;
  return properties ? found.map((choice) => merge({ properties, required }, choice)) : found;
}

/** The resolved schemas of which a value matches one, without null. A schema without alternatives is its own only one. */
export function alternatives(schema, root) {
  const found = choices(schema, root).filter((choice) => !acceptsOnlyNull(choice));
  return withMembers(found.length > 0 ? found : [{}], schema).flatMap(byType);
}

/** A schema of several types as one schema for each of them, without null. */
function byType(schema) {
  const types = typesOf(schema).filter((type) => type !== 'null');
  if (types.length < 2 || 'const' in schema || Array.isArray(schema.enum)) return [{ ...schema, type: types[0] ?? schema.type }];
  return types.map((type) => ({ ...schema, type }));
}

/** The properties of a resolved schema, by name. */
export const propertiesOf = (schema) => (isObject(schema.properties) ? schema.properties : {});

/** The names of the properties that a resolved schema requires. */
export const requiredOf = (schema) => (Array.isArray(schema.required) ? schema.required : []);

/** The values of an enumeration with their descriptions; `null` if the schema is none. */
export function enumeration(schema, root) {
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => ({ value }));
  const found = choices(schema, root).filter((choice) => !acceptsOnlyNull(choice));
  const isFixed = (choice) => 'const' in choice || Array.isArray(choice.enum);
  if (found.length < 2 || !found.every(isFixed)) return null;
  return found.flatMap((choice) => ('const' in choice ? [choice.const] : choice.enum)
    .map((value) => ({ value, description: choice.description })));
}

/** A short name of an alternative. */
export function nameOf(schema) {
  if ('const' in schema) return String(schema.const);
  const names = Object.entries(schema.properties ?? {});
  const tag = names.find(([, property]) => isObject(property) && 'const' in property);
  if (tag) return String(tag[1].const);
  if (schema.title) return schema.title;
  if (names.length === 1) return names[0][0];
  return typesOf(schema)[0] ?? 'JSON';
}

/** Whether two JSON values are equal; the order of their members does not matter. */
export function equal(a, b) {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, at) => equal(item, b[at]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}

const numbersIn = (text) => text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '""').match(/-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g) ?? [];

/** The integer in a JSON text whose digits a JavaScript number loses; `null` if there is none. */
export function lossyInteger(text) {
  const loses = (number) => /^-?\d{16,}$/.test(number) && BigInt(number) !== BigInt(Number(number));
  return numbersIn(text).find(loses) ?? null;
}

/** The number in a JSON text that is too large for a JavaScript number, which JSON writes as null; `null` if there is none. */
export const infiniteNumber = (text) => numbersIn(text).find((number) => !Number.isFinite(Number(number))) ?? null;

/** Parses a JSON object. Its member `lossy` is an integer whose digits were lost, or null. */
export const parseWithLossy = (text) => ({ ...JSON.parse(text), lossy: lossyInteger(text) });

/** The note at a value with such an integer. */
export const DIGITS = 'The last digits of its large integers are not exact here.';

/** Whether a parsed JSON value has an integer that may have lost digits. */
export function hasUnsafeInteger(value) {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value);
  return value !== null && typeof value === 'object' && Object.values(value).some(hasUnsafeInteger);
}

/** Says that the page cannot send an integer. */
export const tooManyDigits = (integer) => `${integer} has more digits than a browser can send. Use the runner for it`;

/** The first violations of a value, as paths and messages. A path is a list of keys and indexes. */
export function validate(schema, value, root = schema) {
  return check(resolve(schema, root), value, { root, path: [], known: new Map(), ...sameValue() }).slice(0, MAX_ERRORS);
}

/**
 * The part of the state that is shared by all schemas of one value: `lists` of alternatives whose checks are under way,
 * and the number of alternatives that may still be checked.
 */
const sameValue = () => ({ lists: [], budget: { choices: MAX_CHOICES } });

/** The violations of a value by a resolved schema. `at` is the state of the validation. */
function check(schema, value, at) {
  const errors = [];
  const fail = (message, path = at.path) => {
    errors.push({ path, message });
    return errors;
  };
  if (at.path.length > MAX_DEPTH) return errors;
  if ('const' in schema && !equal(schema.const, value)) return fail(`must be ${JSON.stringify(schema.const)}`);
  if (Array.isArray(schema.enum) && !schema.enum.some((one) => equal(one, value))) {
    return fail(`must be one of ${schema.enum.map((one) => JSON.stringify(one)).join(', ')}`);
  }
  const types = typesOf(schema);
  if (types.length > 0 && !types.some((type) => hasType(value, type))) return fail(`must be ${phrase(types)}`);
  if (schema.not !== undefined && Object.keys(resolve(schema.not, at.root)).length === 0) return fail('is not allowed');
  if (typeof value === 'string') checkString(schema, value, fail);
  if (typeof value === 'number') checkNumber(schema, value, fail);
  if (Array.isArray(value)) checkArray(schema, value, at, errors, fail);
  if (isObject(value)) checkObject(schema, value, at, errors, fail);
  checkChoices(schema, value, at, errors);
  return errors;
}

/**
 * Adds the violations of a member. Those of an object or array are found once for each schema: alternatives that have the
 * same members would otherwise multiply the checks with each level.
 */
function checkMember(schema, value, key, at, errors) {
  const find = () => check(resolve(schema, at.root), value, { ...at, path: [...at.path, key], ...sameValue() });
  const isGroup = value !== null && typeof value === 'object';
  for (const error of isGroup ? once(at.known, value, schema, find) : find()) errors.push(error);
}

/** The value for two keys, which is found when it is asked for the first time. */
function once(known, first, second, find) {
  if (!known.has(first)) known.set(first, new Map());
  const values = known.get(first);
  if (!values.has(second)) values.set(second, find());
  return values.get(second);
}

function hasType(value, type) {
  switch (type) {
    case 'null': return value === null;
    case 'integer': return Number.isInteger(value);
    case 'number': return typeof value === 'number';
    case 'array': return Array.isArray(value);
    case 'object': return isObject(value);
    case 'string': case 'boolean': return typeof value === type;
    default: return true;
  }
}

function phrase(types) {
  const article = (type) => (type === 'null' ? type : `${/^[aio]/.test(type) ? 'an' : 'a'} ${type}`);
  return types.map(article).join(' or ');
}

function checkString(schema, value, fail) {
  const length = [...value].length;
  if (length < schema.minLength) {
    fail(schema.minLength === 1 ? 'must not be empty' : `must have at least ${schema.minLength} characters`);
  }
  if (length > schema.maxLength) fail(`must have at most ${schema.maxLength} characters`);
  if (typeof schema.pattern === 'string') {
    let pattern = null;
    try {
      pattern = new RegExp(schema.pattern, 'u');
    } catch {
      return; // An expression of another dialect: the worker decides.
    }
    if (!pattern.test(value)) fail(`must match ${schema.pattern}`);
  }
}

function checkNumber(schema, value, fail) {
  if (value < schema.minimum) fail(`must be at least ${schema.minimum}`);
  if (value > schema.maximum) fail(`must be at most ${schema.maximum}`);
  if (value <= schema.exclusiveMinimum) fail(`must be greater than ${schema.exclusiveMinimum}`);
  if (value >= schema.exclusiveMaximum) fail(`must be less than ${schema.exclusiveMaximum}`);
  const multiple = value / schema.multipleOf;
  if (Number.isFinite(multiple) && Math.abs(multiple - Math.round(multiple)) > 1e-9) {
    fail(`must be a multiple of ${schema.multipleOf}`);
  }
}

const items = (count) => `${count} ${count === 1 ? 'item' : 'items'}`;

function checkArray(schema, value, at, errors, fail) {
  if (value.length < schema.minItems) fail(`must have at least ${items(schema.minItems)}`);
  if (value.length > schema.maxItems) fail(`must have at most ${items(schema.maxItems)}`);
  if (schema.uniqueItems === true && new Set(value.map(canonical)).size < value.length) fail('must not have equal items');
  const fixed = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
  value.forEach((item, index) => {
    const of = index < fixed.length ? fixed[index] : schema.items;
    if (of !== undefined && !Array.isArray(of)) checkMember(of, item, index, at, errors);
  });
}

/** JSON of a value with its members in the order of their names, so that equal values have equal texts. */
function canonical(value) {
  const sorted = (members) => Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify(value, (key, member) => (isObject(member) ? sorted(member) : member));
}

function checkObject(schema, value, at, errors, fail) {
  const properties = propertiesOf(schema);
  for (const key of requiredOf(schema)) {
    if (!Object.hasOwn(value, key)) fail('is required', [...at.path, key]);
  }
  for (const [key, member] of Object.entries(value)) {
    if (Object.hasOwn(properties, key)) {
      checkMember(properties[key], member, key, at, errors);
    } else if (schema.additionalProperties === false && !isObject(schema.patternProperties)) {
      fail('is not a field of the input', [...at.path, key]);
    } else if (isObject(schema.additionalProperties)) {
      checkMember(schema.additionalProperties, member, key, at, errors);
    }
  }
}

/**
 * Checks alternatives. The errors of the alternative with the fewest describe a value that matches none. An alternative
 * that is the schema itself is left out: it allows no other values.
 */
function checkChoices(schema, value, at, errors) {
  for (const list of [schema.anyOf, schema.oneOf]) {
    if (!Array.isArray(list) || list.length === 0 || at.lists.includes(list)) continue;
    at.budget.choices -= list.length;
    if (at.budget.choices < 0) continue;
    const inside = { ...at, lists: [...at.lists, list] };
    const isOpen = (choice) => [choice.anyOf, choice.oneOf].some((one) => inside.lists.includes(one));
    const results = list.map((choice) => resolve(choice, at.root)).filter((choice) => !isOpen(choice))
      .map((choice) => check(choice, value, inside));
    if (results.length === 0 || results.some((result) => result.length === 0)) continue;
    const isDeep = (result) => result.every((error) => error.path.length > at.path.length);
    const best = results.filter(isDeep).sort((a, b) => a.length - b.length)[0];
    const messages = new Set(results.map((result) => result[0].message));
    for (const error of best ?? [{ path: at.path, message: [...messages].join(', or ') }]) errors.push(error);
  }
}

/** The rules of a field in words, such as `integer, at least 0`. */
export function rulesOf(schema) {
  const rules = [];
  if (typesOf(schema).length > 0) rules.push(typesOf(schema).join(' or '));
  if (schema.format && schema.format !== 'binary') rules.push(schema.format);
  const say = (keyword, text) => schema[keyword] !== undefined && rules.push(`${text} ${schema[keyword]}`);
  if (schema.minimum !== undefined && schema.maximum !== undefined) rules.push(`${schema.minimum} to ${schema.maximum}`);
  else {
    say('minimum', 'at least');
    say('maximum', 'at most');
  }
  say('exclusiveMinimum', 'greater than');
  say('exclusiveMaximum', 'less than');
  say('multipleOf', 'multiple of');
  if (schema.maxLength !== undefined) rules.push(`at most ${schema.maxLength} characters`);
  if (schema.pattern) rules.push(schema.pattern);
  return rules.join(', ');
}
