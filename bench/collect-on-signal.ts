/** Loaded before a server whose memory is measured: SIGUSR2 collects its garbage, so that what is read is what it needs. */
const { gc } = globalThis as { gc?: () => void };
if (gc === undefined) throw new Error('needs node --expose-gc');
process.on('SIGUSR2', gc);
