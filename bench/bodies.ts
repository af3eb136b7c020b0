/** Bodies of which each may be posted as often as one likes. */
export interface ReusableBodies {
  readonly all: readonly string[];
}

/** Bodies that are accepted once. */
export interface SingleUseBodies {
  /** A contestant that does less for each request: as long as nothing else is known, so many are made as it could use. */
  readonly noFasterThan: string;
  create(count: number): readonly string[] | Promise<readonly string[]>;
}

/** What a contestant is posted. */
export type Bodies = ReusableBodies | SingleUseBodies;

export const isSingleUse = (bodies: Bodies): bodies is SingleUseBodies => 'create' in bodies;

/** An assertion as the routes of the published clients take it. */
export const toAssertionBody = (assertion: string): string => JSON.stringify({ assertion });

/** What an issuer is asked. */
export const MINT_BODIES: ReusableBodies = { all: [JSON.stringify({ identity: 'alice@example.com' })] };

/** The fields of the header of a request with a JSON body, and of one with a form. */
export const JSON_FIELDS = { 'content-type': 'application/json' };
export const FORM_FIELDS = { 'content-type': 'application/x-www-form-urlencoded' };
