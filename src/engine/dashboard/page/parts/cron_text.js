// Cron expressions in words.

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];

const DESCRIPTORS = {
  '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *', '@weekly': '0 0 * * 0', '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
};

const FIELDS = {
  second: { one: 'second', first: 0 }, minute: { one: 'minute', first: 0 }, hour: { one: 'hour', first: 0 },
  day: { one: 'day', first: 1 }, month: { one: 'month', first: 1, names: MONTHS }, weekday: { one: 'weekday', first: 0, names: DAYS },
};

const isStar = (text) => /^[*?](-.*)?(\/1)?$/.test(text);
const isNumber = (text) => /^\d+$/.test(text);
const two = (text) => text.padStart(2, '0');
const list = (parts) => (parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`);

/** The expression in words, such as `at 09:30 on Monday, UTC`. An expression that is not understood stays as it is. */
export function explainCron(expression) {
  const [, , zone = 'UTC', rest] = /^((?:CRON_)?TZ=(\S*)\s+)?(.*)$/s.exec(expression.trim());
  const every = /^@every (.+)$/.exec(rest);
  if (every) return `every ${every[1]}`;
  const parts = (DESCRIPTORS[rest] ?? rest).trim().split(/\s+/);
  if (parts.length === 5) parts.unshift('0');
  if (parts.length !== 6) return expression;
  const [second, minute, hour, day, month, weekday] = parts;
  const isDaily = [day, month, weekday].every(isStar);
  const days = isDaily ? '' : dayText(day, weekday);
  const text = [timeText(second, minute, hour, isDaily), days, isStar(month) ? '' : `in ${valuesText('month', month)}`];
  return `${text.filter(Boolean).join(' ')}, ${zone || 'UTC'}`;
}

function timeText(second, minute, hour, isDaily) {
  const hours = hour.split(',');
  const isExact = [second, minute, ...hours].every(isNumber);
  if (isExact) {
    const seconds = second === '0' ? '' : `:${two(second)}`;
    return `${isDaily ? 'every day ' : ''}at ${list(hours.map((one) => `${two(one)}:${two(minute)}${seconds}`))}`;
  }
  const text = [];
  if (second !== '0') text.push(valuesText('second', second));
  if (!isStar(minute) || second === '0') text.push(/^[\d,]+$/.test(minute) ? `at ${valuesText('minute', minute)}` : valuesText('minute', minute));
  if (isStar(hour) && minute === '0' && second === '0') return 'every hour';
  if (!isStar(hour)) text.push(`of ${valuesText('hour', hour)}`);
  return text.join(' ');
}

/** Days of the month and weekdays. If both are restricted, a day needs to match only one of them. */
function dayText(day, weekday) {
  const texts = [];
  if (!isStar(day)) texts.push(`on ${valuesText('day', day)} of the month`);
  if (!isStar(weekday)) texts.push(`on ${valuesText('weekday', weekday)}`);
  return texts.join(' or ');
}

function valuesText(kind, text) {
  const { one, names, first } = FIELDS[kind];
  const name = (value) => {
    if (!names) return value;
    if (isNumber(value)) return names[Number(value) - first] ?? value;
    return names.find((full) => full.slice(0, 3).toLowerCase() === value.toLowerCase()) ?? value;
  };
  if (isStar(text)) return `every ${one}`;
  const parts = text.split(',').filter(Boolean).map((part) => {
    const [range, step] = part.split('/');
    const [low, high] = range.split('-');
    const span = /^[*?]/.test(range) ? '' : high !== undefined ? `${name(low)} to ${name(high)}` : name(low);
    if (step === undefined || step === '1' && high !== undefined) return span;
    const from = span === '' ? '' : high !== undefined ? ` from ${span}` : ` from ${span} on`;
    return step === '1' ? `every ${one}${from}` : `every ${step} ${one}s${from}`;
  });
  const isPlain = !parts.some((part) => part.startsWith('every'));
  return isPlain && !names ? `${one} ${list(parts)}` : list(parts);
}
