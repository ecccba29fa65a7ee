'use strict';

// Adapter of the subject protocol for gelf-pro, which only supports sockets.

const log = require('gelf-pro');
const { version } = require('gelf-pro/package.json');

const {
  LOOPBACK, Refused, Unsupported, captureTcp, captureUdp, checkNumbers, serve,
} = require('../../adapters/node/gelf-subject');

// Maximum size of its datagrams over IPv4, with the chunk header; no option changes it.
const DATAGRAM_SIZE = 1400;

const HELLO = {
  name: 'gelf-pro',
  version,
  language: 'JavaScript',
  can: ['send'],
  sends: ['udp', 'tcp'],
  notes:
    'Uses message, or info if there is no level, with host, timestamp and full_message in its extra. Over UDP it '
    + `always compresses with zlib and cuts chunks at ${DATAGRAM_SIZE} bytes, so other requests are unsupported.`,
};

function logMessage({ transport, message }, port) {
  const { short_message: text, level, fields, ...extra } = message;
  // The library caches one adapter with its port.
  log.adapter = null;
  log.setConfig({ adapterName: transport, adapterOptions: { host: LOOPBACK, port, protocol: 'udp4', family: 4 } });
  return new Promise((resolve, reject) => {
    try {
      const done = (error) => (error ? reject(new Refused(error)) : resolve());
      const all = { ...fields, ...extra };
      if (level === undefined) log.info(text, all, done);
      else log.message(text, level, all, done);
    } catch (error) {
      reject(new Refused(error));
    }
  });
}

async function send(request) {
  const { transport, compression = 'none', datagram_size: datagramSize = 1420 } = request;
  checkNumbers(request.message);
  if (transport === 'tcp') {
    if (compression !== 'none') throw new Unsupported('no compression on TCP');
    return { stream: await captureTcp((port) => logMessage(request, port)) };
  }
  if (compression !== 'zlib') throw new Unsupported('always zlib on UDP');
  if (datagramSize < DATAGRAM_SIZE) throw new Unsupported(`always datagrams of up to ${DATAGRAM_SIZE} bytes`);
  return { datagrams: await captureUdp((port) => logMessage(request, port)) };
}

serve(HELLO, { send });
