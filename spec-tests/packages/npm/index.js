'use strict';

const fs = require('node:fs');
const path = require('node:path');

// The folder of the vectors, with their README.md and vector.schema.json.
const folder = path.join(__dirname, 'vectors');

// The names of all topics.
const topics = fs
  .readdirSync(folder)
  .filter((name) => name.endsWith('.json') && !name.endsWith('.schema.json'))
  .map((name) => path.basename(name, '.json'));

// Returns the vectors of a topic. README.md describes their members.
function load(topic) {
  return JSON.parse(fs.readFileSync(path.join(folder, `${topic}.json`), 'utf8')).vectors;
}

// Returns the bytes of an input or expected payload, which is {hex: '…'} in the vectors.
function bytes({ hex }) {
  return Buffer.from(hex, 'hex');
}

module.exports = { bytes, folder, load, topics };
