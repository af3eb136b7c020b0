// A bot as a module: it runs inside the server, which calls createBot once when it starts.

/** Replies that a person can press, in the form that the published clients render. */
const quickReplies = (text, titles) => ({
  template: {
    type: 'template',
    payload: {
      template_type: 'quick_replies',
      text,
      quick_replies: titles.map((title) => ({ content_type: 'text', title, payload: title.toUpperCase() })),
    },
  },
});

/** `logger` writes into the server's log; what a person says and who they are does not belong there. */
export function createBot({ logger }) {
  return {
    name: 'opening-hours',
    onStart: async (session) => [
      { text: session.isAnonymous ? 'Hello!' : `Hello ${session.identity}!` },
      quickReplies('What would you like to know?', ['Opening hours', 'Address']),
    ],
    onMessage: async (session, { text, payload }, signal) => {
      signal.throwIfAborted();
      logger.debug({ conversationId: session.conversationId }, 'asked');
      const tier = session.UserContext.privateClaims.tier ?? 'basic';
      if ((payload ?? text).toUpperCase() === 'OPENING HOURS') {
        return [{ text: tier === 'gold' ? 'For you: day and night.' : 'Monday to Friday, 9 to 17.' }];
      }
      return [{ text: 'Main Street 1.' }];
    },
  };
}
