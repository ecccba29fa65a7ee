'use strict';

// Sends messages over UDP to the loopback with gelf-pro: send.js PORT COUNT MESSAGES.json

const fs = require('fs');
const log = require('gelf-pro');

const [port, count, path] = process.argv.slice(2);
const { host, fields, lines } = JSON.parse(fs.readFileSync(path, 'utf8'));
const adapterOptions = { host: '127.0.0.1', port: Number(port), protocol: 'udp4' };
log.setConfig({ fields, adapterName: 'udp', adapterOptions });

async function main() {
  for (let sent = 0; sent < Number(count); sent += 1) {
    await new Promise((resolve, reject) => {
      log.info(lines[sent % lines.length], { host }, (error) => (error ? reject(error) : resolve()));
    });
  }
}

main();
