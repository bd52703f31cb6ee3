// Ways to misbehave on request, to try a supervisor with. Only reachable with TROUBLE=1.
//
//   POST /trouble/crash           an exception that nobody catches
//   POST /trouble/exit?code=3     ends with this code
//   POST /trouble/hang            blocks the event loop for ever; even SIGTERM goes unheard
//   POST /trouble/slow?ms=1500    answers late
//   POST /trouble/leak?mb=50      keeps that much more memory
//   POST /trouble/flood?lines=N   writes N log lines at once
//   POST /trouble/ignore-term     from now on SIGTERM and SIGINT do nothing
'use strict';

const log = require('./log.js');

const leaked = [];
let ignoring = false;

function number(query, name, fallback, max) {
  const value = Number(query.get(name) ?? fallback);
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw Object.assign(new Error(`${name} must be a whole number from 0 to ${max}`), { status: 400 });
  }
  return value;
}

// After the answer has gone out, so that the client is not left to guess.
function soon(action) {
  setTimeout(action, 50);
}

exports.troubles = {
  __proto__: null, // so that only these are found, not what every object has
  crash() {
    soon(() => {
      throw new Error('crash on request');
    });
    return { trouble: 'crash' };
  },
  exit(query) {
    const code = number(query, 'code', 1, 255);
    soon(() => process.exit(code));
    return { trouble: 'exit', code };
  },
  hang() {
    soon(() => {
      log.error('hanging on request');
      for (;;);
    });
    return { trouble: 'hang' };
  },
  async slow(query) {
    const ms = number(query, 'ms', 1500, 60_000);
    await new Promise((resolve) => setTimeout(resolve, ms));
    return { trouble: 'slow', ms };
  },
  leak(query) {
    const mb = number(query, 'mb', 50, 4096);
    for (let i = 0; i < mb; i += 1) leaked.push(Buffer.alloc(1_000_000, 1));
    return { trouble: 'leak', leaked_mb: leaked.length };
  },
  flood(query) {
    const lines = number(query, 'lines', 10_000, 1_000_000);
    for (let n = 1; n <= lines; n += 1) log.info('flood on request', { n, of: lines });
    return { trouble: 'flood', lines };
  },
  'ignore-term'() {
    ignoring = true;
    return { trouble: 'ignore-term' };
  },
};

exports.ignoresTerm = () => ignoring;
