'use strict';

// Adapter of the subject protocol for graylog2 (node-graylog2), which only supports a UDP socket.

const { graylog: Graylog } = require('graylog2');
const { version } = require('graylog2/package.json');

const {
  LOOPBACK, Refused, Unsupported, captureUdp, checkNumbers, serve,
} = require('../../adapters/node/gelf-subject');

const HELLO = {
  name: 'graylog2 (node-graylog2)',
  version,
  language: 'JavaScript',
  can: ['send'],
  sends: ['udp'],
  fixed: ['full_message'],
  notes: 'Uses the functions of the levels, info if there is no level. Timestamps are of the class Date, in milliseconds.',
};
const LEVELS = ['emergency', 'alert', 'critical', 'error', 'warning', 'notice', 'info', 'debug'];

async function send({ compression = 'none', datagram_size: bufferSize, message }) {
  if (compression === 'gzip') throw new Unsupported('no gzip, only zlib');
  checkNumbers(message);
  const { host: hostname, short_message: text, full_message: full, level = 6, timestamp, fields } = message;
  if (!LEVELS[level]) throw new Unsupported(`no function for the level ${level}`);
  if (timestamp !== undefined && !Number.isInteger(timestamp * 1000)) {
    throw new Unsupported('timestamps are whole milliseconds');
  }
  const deflate = compression === 'zlib' ? 'always' : 'never';
  let failure;
  const datagrams = await captureUdp(async (port) => {
    const log = new Graylog({ servers: [{ host: LOOPBACK, port }], hostname, deflate, bufferSize });
    log.on('error', (error) => { failure = error; });
    log[LEVELS[level]](text, full, fields, timestamp === undefined ? undefined : new Date(timestamp * 1000));
    await new Promise((resolve) => { log.close(resolve); });
  });
  if (failure) throw new Refused(failure);
  return { datagrams };
}

serve(HELLO, { send });
