const assert = require('node:assert');
const test = require('node:test');
const { bytes, load } = require('gelf-vectors');

test('levels', () => {
  for (const { id, payload, strict } of load('level').filter((vector) => vector.demand === 'take')) {
    const found = JSON.parse(bytes(payload)).level;
    assert.equal(found, strict.messages[0].level, id);
  }
});
