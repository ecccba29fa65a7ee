'use strict';

// Adapter of the subject protocol for winston-log2gelf, a transport of winston over TCP and HTTP.

const Log2gelf = require('winston-log2gelf');
const { version } = require('winston-log2gelf/package.json');

const {
  LOOPBACK, Unsupported, captureTcp, checkNumbers, serve,
} = require('../../adapters/node/gelf-subject');

const HELLO = {
  name: 'winston-log2gelf',
  version,
  language: 'JavaScript',
  can: ['send'],
  sends: ['tcp'],
  fixed: ['timestamp', 'full_message'],
  notes: 'Hands the transport what winston hands it, with the options hostname and service only. HTTP is not asked.',
};
// The levels of npm, which are those of winston by default, for the severities that have one of the same name.
const LEVELS = { 3: 'error', 4: 'warn', 6: 'info', 7: 'debug' };

async function send({ compression = 'none', message }) {
  if (compression !== 'none') throw new Unsupported('no compression');
  checkNumbers(message);
  const { host: hostname, short_message: text, level = 6, fields } = message;
  if (!LEVELS[level]) throw new Unsupported(`no level of winston for the severity ${level}`);
  return {
    stream: await captureTcp((port) => new Promise((resolve) => {
      const transport = new Log2gelf({ hostname, host: LOOPBACK, port });
      transport.log({ ...fields, level: LEVELS[level], message: text }, resolve);
      transport.end();
    })),
  };
}

serve(HELLO, { send });
