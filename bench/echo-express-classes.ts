/** The same as echo-express, behind the server factory: what Express costs without its changes of prototype. */
import express from 'express';

import { startServer } from '../src/http/server.ts';

const app = express();
app.post('/', express.json(), (req, res) => {
  res.json(req.body);
});

await startServer(app, { host: '127.0.0.1', port: Number(process.argv[2]) });
