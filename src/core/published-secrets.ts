import { sha256Hex } from './secret.ts';

/**
 * Secrets that anyone can read, by the SHA-256 of their letters and digits, and where they stand. Hashes, so that nobody copies
 * one from here. Short ones are here for those who fill them up to the length that is asked for.
 */
const PUBLISHED: ReadonlyMap<string, string> = new Map([
  ['064a4b1a5fd890e09d944531c0be396bbf027d697aa4d9bbe0e7ca6c9a8bf317', 'jwt.io, HS256, until 2024'],
  ['eca55d4d28932ffffb6d0cfbe32487c179f9ed110c34ab239dbb81078e16b0aa', 'jwt.io, HS384, until 2024'],
  ['ce721e89eff4f2c158e3a15850ffa6352b8dd42b2b5720850583a9c02a4fec63', 'jwt.io, HS512, until 2024'],
  ['54ef6453548ca68d33dc886b446e4a3264bcfdb8fc5b7175a1440762a1a6c163', 'jwt.io, HS256'],
  ['b42111d2cc964fc29f65192fe22907ac3a73ddfadd9e97bfef30b15e22443ff5', 'jwt.io, HS384'],
  ['30581c41242313bb1821915890ee904967450c16f0cf12055d1ef31db12af934', 'jwt.io, HS512'],
  ['1ea604f64a8a5084cb916142866daf06cdb5f69c716f7ba286dc0c1eb2c2209a', 'the keyboard, in many samples'],
  ['c6564561ada51c649bafd0d4215e9ad9bf1866fbbe8de83b96fbc50664c17254', 'RFC 7515, appendix A.1'],
  ['25649e1c1e46e3333a07b651466bb4217685208cebb0870cb11c36d2beddbf34', 'RFC 7520, section 4.4'],
  ['916b0b411ee1ce9d8f3af97e9fbcec5f89699cf798a6d4576767b848606aba32', 'RFC 7516, appendix A.3'],
  ['570dad43de1af4c925f92c16a68a50936da42b7dd6fdeb24850507a1199aac89', 'the tutorial of FastAPI'],
  ['2b1fa627178e3424e20ffd0e18b7440c322ad538d3c96aef1e3f60d99951c23c', 'tutorials of Spring Boot 3'],
  ['4c0bf08221f3d71e4ed7b093b627cc8d4cb32250d5d70abdffa457a3afbc04f2', 'tutorials of Spring Boot 3'],
  ['ffc648ffb26e6edfd9260309dd91864186bddabae82503b20d9253cd91c2ea2c', 'tutorials of Spring Security'],
  ['645ea5b463cfaa72cac3a38ba0c643e74ab26d20e51030e5dde39689f456e414', 'tutorials of Node.js and ASP.NET'],
  ['910a9be7e8727aaf8299542af2fe376327272bde37b2c4aa39922111cba7c8ac', 'the documentation of NestJS'],
  ['b99d4b673b9cb3943005a83ddc56659cd7c02d0f2cee601ec8e4685e980e87e2', 'Supabase, local development'],
  ['018e69268ce147bdf8d5e82daacb930c7606c11dfa7603e34326372b2c441d63', 'Supabase, self-hosted'],
  ['fd4dec75abc2df7e4f8776e246ce733d29690230695c4ce8ea7a207eb3a939ab', 'the tutorial of PostgREST'],
  [
    '910354f9d41ee6b77bfd2610c86e88a6deaa6aeac33a58878bba4799eec98ebf',
    'the documents of the JWT grant that Countersign follows',
  ],
  ['2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b', 'everywhere'],
  ['057ba03d6c44104863dc7361fe4578965d1887360f90a0895882e58a6248fc86', 'everywhere'],
  ['5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8', 'everywhere'],
  ['652c7dc687d98c9889304ed2e408c74b611e86a40caa51c4b43f1dd5913c5cd0', 'everywhere'],
  ['2afe16a6d630d94cd07c68d5e35568655bf5f60bef29c4f1321fc857816afec9', 'everywhere'],
  ['ad165b11320bc91501ab08613cc3a48a62a6caca4d5c8b14ca82cc313b3b96cd', 'everywhere'],
  ['f44ef9e360834c4e49dc3cc321d8fa6f9750212362e90166e0c4bcd99d87e81a', 'everywhere'],
  ['f75778f7425be4db0369d09af37a6c2b9a83dea0e53e7bd57412e4b060e607f7', 'everywhere'],
  ['e706386a58190ee13247ffc85c07f5fee617aed1e339cd935e64bab32bfe8fc8', 'everywhere'],
  ['c179dbea62677fbab24805ecff9e3500239e3cee9f968edeab793bda35e97fad', 'everywhere'],
  ['9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f', 'everywhere'],
  ['c775e7b757ede630cd0aa1113bd102661ab38829ca52a6422ab782862f268646', 'everywhere'],
  ['71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73', 'everywhere'],
  ['011fc2994e39d251141540f87a69092b3f22a86767f7283de7eeedb3897bedf6', 'everywhere'],
  ['f6d527e6d01865481134f29788be2afe7fc3c702e1a55d7ceafac5f35199e8dc', 'everywhere'],
]);

/**
 * Where a secret is published: as it is, in other letters or with other signs between them, filled up with one character or
 * with digits, or repeated.
 * @returns undefined where it is on no list
 */
export function findPublication(secret: string): string | undefined {
  const text = secret.toLowerCase().replaceAll(/[^a-z\d]/g, '');
  for (const form of [...listUnfilled(text), findPeriod(text)]) {
    const publication = PUBLISHED.get(sha256Hex(form));
    if (publication !== undefined) return publication;
  }
  return undefined;
}

/** The text without each part of the run of one character, and of the digits, at its end or before its beginning. */
function listUnfilled(text: string): string[] {
  const run = /(.?)\1*$/.exec(text)?.[0].length ?? 0;
  const shorter = Array.from({ length: run + 1 }, (_, length) => text.slice(0, text.length - length));
  return [...shorter, text.replace(/\d+$/, ''), text.replace(/^(.)\1+/, '')];
}

/** What a text repeats, the last time maybe not to its end; the text itself where it repeats nothing. */
function findPeriod(text: string): string {
  for (let length = 1; length < text.length; length++) {
    if (text.startsWith(text.slice(length))) return text.slice(0, length);
  }
  return text;
}
