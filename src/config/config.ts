import type { Secret } from '../core/secret.ts';
import type { Environment } from './variables.ts';

/** A program of the product that is configured from the environment. */
export type Program = 'start' | 'issuer' | 'idproxy' | 'gateway' | 'tools';

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<Camel<Tail>>}`
  : Lowercase<S>;
type WithoutPrefix<S> = S extends `COUNTERSIGN_${infer Name}` ? Camel<Name> : never;

/** The configuration: each variable by its camel-case name, what depends on others worked out, files read. */
export type Config = Readonly<
  { [Name in keyof Environment as WithoutPrefix<Name>]: Environment[Name] } & {
    readonly program: Program;
    readonly store: 'embedded' | 'redis';
    readonly bot: 'none' | 'echo' | 'webhook' | 'module';
    readonly isLoopback: boolean;
    readonly tls: { readonly cert: string; readonly key: string } | undefined;
    readonly privateKey: Secret | undefined;
    readonly jweKey: string | undefined;
    readonly apiKeys: string | undefined;
    readonly introspectionKeys: string | undefined;
    readonly contextKeys: string | undefined;
  }
>;
