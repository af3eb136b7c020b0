import { createAssertions, DAY_SECRET } from './assertions.ts';
import { FORM_FIELDS, JSON_FIELDS, MINT_BODIES, type SingleUseBodies, toAssertionBody } from './bodies.ts';
import { type Contestant, type Entry, type Surroundings, toScript } from './contestant.ts';
import { type BenchServer, startPinned } from './server.ts';

/** The app of all servers that know one alone. */
const DAY_APP = { clientId: 'cs-bench', clientSecret: DAY_SECRET };
/** As long as the assertions that the others get. */
const ECHO_BODIES = {
  all: createAssertions({ clientId: `cs-${'0'.repeat(36)}`, clientSecret: 'echo' }, 1).map(toAssertionBody),
};

const toForm = (assertion: string): string =>
  `grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&client_id=${DAY_APP.clientId}&assertion=${assertion}`;

/** They do all that Express does for an echo, and more. */
const createDayBodies = (toBody: (assertion: string) => string): SingleUseBodies => ({
  noFasterThan: 'express',
  create: (count) => createAssertions(DAY_APP, count).map(toBody),
});

const startScript = (name: string, given: readonly string[], folder: string): Promise<BenchServer> =>
  startPinned({ script: toScript(`./${name}.js`), toArgs: (port) => [String(port), ...given] }, folder);

/** A server that answers what it is told. @param script its name, without an extension */
export async function startEcho(entry: Entry, script: string, { folder }: Surroundings): Promise<Contestant> {
  const server = await startScript(script, [], folder);
  return { ...entry, url: `${server.url}/`, fields: JSON_FIELDS, bodies: ECHO_BODIES, server };
}

/** An exchange as a team would write it in a day. @param way a row of written-in-a-day's table */
export async function startDay(entry: Entry, way: string, { folder, redisUrl }: Surroundings): Promise<Contestant> {
  const server = await startScript('written-in-a-day', [redisUrl, way], folder);
  const bodies = createDayBodies(toAssertionBody);
  return { ...entry, url: `${server.url}/authorize`, fields: JSON_FIELDS, bodies, server };
}

/** The usual sample of a token server. */
export async function startSample(entry: Entry, { folder }: Surroundings): Promise<Contestant> {
  const server = await startScript('sample-token-server', [], folder);
  return { ...entry, url: `${server.url}/api/users/sts`, fields: JSON_FIELDS, bodies: MINT_BODIES, server };
}

/** oidc-provider with a grant for assertions. */
export async function startOidcProvider(entry: Entry, { folder, redisUrl }: Surroundings): Promise<Contestant> {
  const server = await startScript('oidc-provider-server', [redisUrl], folder);
  return { ...entry, url: `${server.url}/token`, fields: FORM_FIELDS, bodies: createDayBodies(toForm), server };
}
