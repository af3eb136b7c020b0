/** What the banner tells. */
export interface BannerFacts {
  readonly issuerUrl: string;
  readonly idproxyUrl: string;
  readonly storeDescription: string;
  readonly isOpen: boolean;
  /** Where this start made it. */
  readonly adminToken: string | undefined;
}

const pick = (member: string): string => `sed 's/.*"${member}":"\\([^"]*\\)".*/\\1/'`;

/** The three lines that mint, exchange and introspect; to be pasted as they are. */
export function toCurlLines({ issuerUrl, idproxyUrl, adminToken }: BannerFacts): readonly string[] {
  // printf is part of the shell: a credential that goes through a pipe is in no process list.
  const last =
    adminToken === undefined
      ? `printf 'authorization: Bearer %s' "$BEARER" | curl -s -H @- ${idproxyUrl}/api/1.1/userinfo; echo`
      : `printf 'authorization: Bearer ${adminToken}' | curl -s -H @- ${idproxyUrl}/oauth/introspect -d token="$BEARER"; echo`;
  return [
    `JWT=$(curl -s ${issuerUrl}/api/users/sts -d identity=alice@example.com | ${pick('jwt')}); echo "$JWT"`,
    `BEARER=$(curl -s ${idproxyUrl}/authorize -d assertion="$JWT" | ${pick('access_token')}); echo "$BEARER"`,
    last,
  ];
}

/** What `countersign start` prints once it listens. */
export function toBanner(facts: BannerFacts): string {
  const { issuerUrl, idproxyUrl, storeDescription, isOpen } = facts;
  return [
    '',
    'Countersign runs.',
    `  issuer   ${issuerUrl}   (open this page: it shows every step)`,
    `  idproxy  ${idproxyUrl}`,
    `  store    ${storeDescription}`,
    ...(isOpen ? ['  WARNING  the issuer is open: whoever reaches it can be anyone. For a laptop only.'] : []),
    '',
    'Mint, exchange, ask:',
    ...toCurlLines(facts).map((line) => `  ${line}`),
    '',
  ].join('\n');
}
