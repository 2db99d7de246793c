// Calls the engine's REST API with the token of the signed-in user.

/** Milliseconds after which a call without a response fails. */
const TIMEOUT = 20_000;
/** Milliseconds without a byte after which a stream is closed. The engine sends a comment every 15 s. */
const SILENCE = 45_000;

/** An error response of the engine. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The engine cannot be reached, or its response did not arrive in time. */
export class Unreachable extends Error {
  constructor() {
    super('The engine does not respond');
  }
}

/** The engine does not accept the token. */
export class InvalidToken extends Error {}

export class Api {
  #token;

  /** Throws `InvalidToken` if the text is not a client token. */
  constructor(token) {
    this.#token = token;
    /** Id of the tenant, which is a claim of the token. */
    this.tenant = tenantOf(token);
  }

  /** Returns the parsed response, or null if the engine does not know the path. Arrays in the query repeat their key.
   * `parse` replaces `JSON.parse`. */
  get(path, query, signal, parse) {
    const pairs = Object.entries(query ?? {}).flatMap(([key, value]) => [value].flat().map((item) => [key, item]))
      .filter(([, value]) => value !== null && value !== undefined && value !== '');
    const text = new URLSearchParams(pairs).toString();
    return this.#call('GET', text ? `${path}?${text}` : path, undefined, signal, parse);
  }

  post(path, body) {
    return this.#call('POST', path, body ?? {});
  }

  patch(path, body) {
    return this.#call('PATCH', path, body);
  }

  remove(path) {
    return this.#call('DELETE', path);
  }

  /** Reads a response of type `text/event-stream` and calls `receive` with the data of each event. Returns false if the
   * engine does not know the path, and true when the stream ends. Throws `Unreachable` if no byte arrives for 45 s. */
  async stream(path, receive, signal) {
    const close = new AbortController();
    let timer = 0;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => close.abort(new Unreachable()), SILENCE);
    };
    try {
      wait();
      const request = { headers: this.#headers(), cache: 'no-store', signal: AbortSignal.any([signal, close.signal]) };
      const response = await reached(fetch(path, request));
      if (response.status === 404) return false;
      if (!response.ok) throw await errorOf(response);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      for (;;) {
        wait();
        const { done, value } = await reached(reader.read());
        if (done) return true;
        const events = (rest + value).split('\n\n');
        rest = events.pop();
        for (const event of events) {
          const fields = event.split('\n').map((line) => /^(\w+): ?(.*)$/.exec(line)).filter(Boolean);
          const data = fields.filter(([, name]) => name === 'data').map(([, , text]) => text);
          if (data.length > 0) receive(data.join('\n'), fields.find(([, name]) => name === 'event')?.[2] ?? 'message');
        }
      }
    } finally {
      clearTimeout(timer);
      close.abort();
    }
  }

  #headers() {
    return { authorization: `Bearer ${this.#token}` };
  }

  async #call(method, path, body, signal, parse = JSON.parse) {
    const timeout = AbortSignal.timeout(TIMEOUT);
    const request = { method, headers: this.#headers(), cache: 'no-store', signal: signal ? AbortSignal.any([signal, timeout]) : timeout };
    if (body !== undefined) {
      request.headers['content-type'] = 'application/json';
      request.body = JSON.stringify(body);
    }
    const response = await reached(fetch(path, request));
    if (response.status === 404 && method === 'GET') return null;
    if (!response.ok) throw await errorOf(response);
    const text = await reached(response.text());
    return text === '' ? null : parse(text);
  }
}

/** Waits for a part of a response. `fetch` fails with a `TypeError` if the engine cannot be reached. */
async function reached(part) {
  try {
    return await part;
  } catch (error) {
    throw error instanceof TypeError || error.name === 'TimeoutError' ? new Unreachable() : error;
  }
}

async function errorOf(response) {
  const text = await reached(response.text());
  let message;
  try {
    message = JSON.parse(text).message;
  } catch {
    message = text;
  }
  if (response.status === 403 && message?.startsWith('invalid auth token')) {
    return new InvalidToken('The engine does not accept this token.');
  }
  return new ApiError(response.status, message || `the engine responded with status ${response.status}`);
}

/** The tenant is a claim in the second of the token's three base64 parts. */
function tenantOf(token) {
  try {
    const part = token.split('.')[1];
    const { sub } = JSON.parse(atob(part.replace(/-/g, '+').replace(/_/g, '/')));
    if (/^[0-9a-f-]{36}$/.test(sub)) return sub;
  } catch {
    // Reported below.
  }
  throw new InvalidToken('This is not a client token: it starts with ey and has two dots.');
}
