/** The failures of connectors and service calls: rows of `ERRORS`. */
export const RELAY_ERRORS = {
  // Connectors and those who call through them.
  connector_not_found: { status: 404, msg: 'there is no such connector', oauth: 'invalid_request' },
  connector_conflict: {
    status: 409,
    msg: 'the connector was changed by someone else; read it again',
    oauth: 'invalid_request',
  },
  connector_limit: { status: 409, msg: 'a company may have {limit} connectors', oauth: 'invalid_request' },
  certificate_limit: {
    status: 409,
    msg: 'a connector may have {limit} valid certificates; revoke those that are not used',
    oauth: 'invalid_request',
  },
  certificate_not_found: { status: 404, msg: 'the connector has no such certificate', oauth: 'invalid_request' },
  caller_not_found: { status: 404, msg: 'there is no such caller', oauth: 'invalid_request' },
  caller_credential: {
    status: 407,
    msg: 'a credential for the gateway is missing or not valid',
    oauth: 'invalid_client',
  },
  connector_forbidden: { status: 403, msg: 'this caller may not use this connector', oauth: 'access_denied' },
  head_too_large: {
    status: 431,
    msg: 'the header fields are too large to be relayed',
    oauth: 'invalid_request',
  },
  tunnel_refused: {
    status: 405,
    msg: 'CONNECT is not offered: paths cannot be checked inside it',
    oauth: 'invalid_request',
  },
  application_unknown: {
    status: 403,
    msg: '“{name}” is not reachable. Unable to communicate with the connector. Please try again.',
    oauth: 'access_denied',
  },
  path_forbidden: {
    status: 403,
    msg: 'the access control of the connector does not allow this',
    oauth: 'access_denied',
  },
  application_unreachable: {
    status: 502,
    msg: '“{name}” is not reachable. Unable to communicate with the connector. Please try again.',
    oauth: 'temporarily_unavailable',
  },
  application_failed: { status: 502, msg: 'the application broke off', oauth: 'temporarily_unavailable' },
  connector_lost: {
    status: 502,
    msg: 'the connection to the connector was lost; whether the application got the request is not known',
    oauth: 'temporarily_unavailable',
  },
  application_timeout: { status: 504, msg: 'the application took too long', oauth: 'temporarily_unavailable' },
  connector_unavailable: {
    status: 503,
    msg: 'The server returned an error. Try again later. (404 – System not reachable).',
    oauth: 'temporarily_unavailable',
  },

  // Service calls: the steps of a handshake with two-way TLS are told apart.
  service_url_forbidden: { status: 403, msg: 'service calls may not go there: {detail}', oauth: 'access_denied' },
  service_identity_unknown: {
    status: 400,
    msg: 'there is no usable client certificate of this name',
    oauth: 'invalid_request',
  },
  service_unreachable: {
    status: 502,
    msg: 'the service cannot be reached: {detail}',
    oauth: 'temporarily_unavailable',
  },
  service_server_untrusted: {
    status: 502,
    msg: "the service's certificate is not trusted: {detail}",
    oauth: 'temporarily_unavailable',
  },
  service_certificate_missing: {
    status: 502,
    msg: 'the service asks for a client certificate, and none is configured',
    oauth: 'temporarily_unavailable',
  },
  service_certificate_refused: {
    status: 502,
    msg: 'the service does not accept our client certificate: {detail}',
    oauth: 'temporarily_unavailable',
  },
  service_failed: { status: 502, msg: 'the service broke off: {detail}', oauth: 'temporarily_unavailable' },
  service_answer_too_large: {
    status: 502,
    msg: "the service's answer is larger than {limit} bytes; ask for it with stream",
    oauth: 'temporarily_unavailable',
  },
  service_timeout: { status: 504, msg: 'the service took too long', oauth: 'temporarily_unavailable' },
  connector_not_enabled: { status: 409, msg: 'no connector is enabled', oauth: 'invalid_request' },
} as const;
