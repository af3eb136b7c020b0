// The oldest Node.js in use must be able to read this file: no syntax after ES5.
'use strict';
var NEEDED = [20, 19];
var found = process.versions.node.split('.');
var major = Number(found[0]);
if (major < NEEDED[0] || (major === NEEDED[0] && Number(found[1]) < NEEDED[1])) {
  var sentence = 'kore-connector needs Node.js ' + NEEDED.join('.') + ' or newer, found ' + process.version;
  process.stderr.write(sentence + ' at ' + process.execPath + '; see https://nodejs.org/en/download/\n');
  process.exit(1);
}
