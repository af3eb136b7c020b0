// The oldest Node.js in use must be able to read this file: no syntax after ES5.
'use strict';
require('./check-node.js');
require('./agent.js');
