// The backend of a small store, on Node's own http module: nothing to install, nothing to build.
//
//   GET  /health               {"status":"ok","uptime":12.3,"pid":4711}
//   GET  /api/products         the products; ?in_stock=1 leaves out what is sold out
//   GET  /api/products/:id     one of them, or a 404
//   POST /trouble/...          makes it misbehave, see trouble.js; only with TROUBLE=1
//
// Environment: HOST (127.0.0.1), PORT (3001), TROUBLE.
// Log lines are JSON, one per event: information on stdout, errors on stderr.
'use strict';

const http = require('node:http');
const log = require('./log.js');
const products = require('./products.js');
const { troubles, ignoresTerm } = require('./trouble.js');

const host = process.env.HOST || '127.0.0.1';
const port = Number(process.env.PORT || 3001);
const GRACE_MS = 3000;

let stopping = false;

class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function route(method, path, query) {
  const only = (allowed) => {
    if (method !== allowed) throw new HttpError(405, `use ${allowed}`);
  };
  if (path === '/health') {
    only('GET');
    return { status: stopping ? 'stopping' : 'ok', uptime: process.uptime(), pid: process.pid };
  }
  if (path === '/api/products') {
    only('GET');
    return products.list({ inStock: query.get('in_stock') === '1' });
  }
  if (path.startsWith('/api/products/')) {
    only('GET');
    const id = path.slice('/api/products/'.length);
    const product = products.find(id);
    if (!product) throw new HttpError(404, `no product ${JSON.stringify(id)}`);
    return product;
  }
  if (path.startsWith('/trouble/')) {
    if (process.env.TROUBLE !== '1') throw new HttpError(403, 'trouble is off: set TROUBLE=1');
    only('POST');
    const make = troubles[path.slice('/trouble/'.length)];
    if (make) return make(query);
  }
  throw new HttpError(404, `nothing at ${path}`);
}

async function answer(request, response) {
  const started = process.hrtime.bigint();
  const url = new URL(request.url, 'http://backend');
  let status = 200;
  let body;
  try {
    body = await route(request.method, url.pathname, url.searchParams);
  } catch (error) {
    status = error.status || 500;
    body = { error: error.message };
    if (status === 500) log.error('request failed', { path: url.pathname, error: error.stack });
  }
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    // A client that keeps its connection would otherwise hold up the stop.
    ...(stopping ? { connection: 'close' } : {}),
  });
  response.end(text);
  log.info('request', {
    method: request.method,
    path: url.pathname,
    status,
    ms: Number(process.hrtime.bigint() - started) / 1e6,
  });
}

const server = http.createServer((request, response) => {
  request.resume(); // no route reads a body
  answer(request, response);
});

// No address, no service: say why and end, so that whoever supervises can see it and try again.
server.on('error', (error) => {
  log.error(String(error), { code: error.code, host, port });
  process.exit(1);
});

// Stop taking connections, let the requests that are under way finish, end with 0.
function stop(signal) {
  if (stopping || ignoresTerm()) {
    log.info('signal ignored', { signal });
    return;
  }
  stopping = true;
  log.info('stopping', { signal });
  server.close(() => {
    log.info('stopped');
    process.exit(0);
  });
  server.closeIdleConnections();
  setTimeout(() => {
    log.error('requests did not finish in time', { ms: GRACE_MS });
    server.closeAllConnections();
  }, GRACE_MS).unref();
}

process.on('SIGTERM', stop);
process.on('SIGINT', stop);

server.listen(port, host, () => {
  log.info('listening', { host, port, pid: process.pid, node: process.version });
});
