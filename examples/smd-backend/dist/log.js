// One JSON object a line, so that both people and programs can read it.
'use strict';

function line(stream, level, msg, fields) {
  stream.write(`${JSON.stringify({ time: new Date().toISOString(), level, msg, ...fields })}\n`);
}

exports.info = (msg, fields) => line(process.stdout, 'info', msg, fields);
exports.error = (msg, fields) => line(process.stderr, 'error', msg, fields);
