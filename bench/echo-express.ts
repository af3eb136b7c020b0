/** The same as echo-http, in Express as its documentation shows it. Listens on the port of its first argument. */
import express from 'express';

const app = express();
app.post('/', express.json(), (req, res) => {
  res.json(req.body);
});

app.listen(Number(process.argv[2]), '127.0.0.1');
