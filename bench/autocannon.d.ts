/** The part of autocannon that the bench uses. */
declare module 'autocannon' {
  interface Request {
    readonly body?: string;
  }

  interface Options {
    readonly url: string;
    readonly method: 'POST';
    readonly headers: Readonly<Record<string, string>>;
    readonly connections: number;
    /** In seconds. */
    readonly duration: number;
    readonly requests: readonly { readonly setupRequest: (request: Request) => Request }[];
  }

  interface Result {
    readonly requests: { readonly total: number };
    /** In seconds. */
    readonly duration: number;
    readonly non2xx: number;
    readonly errors: number;
    readonly timeouts: number;
  }

  function autocannon(options: Options): Promise<Result>;
  export = autocannon;
}
