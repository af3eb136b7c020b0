/** The paths of administration whose acts are audited, by the names that their entries bear. */
export const ADMIN_ROUTES: readonly string[] = [
  '/admin/apps',
  '/admin/apps/:clientId',
  '/admin/apps/:clientId/keys',
  '/admin/apps/:clientId/keys/:kid',
  '/admin/audit',
  '/admin/callers',
  '/admin/callers/:id',
  '/admin/connectors',
  '/admin/connectors/:id',
  '/admin/connectors/:id/certificate',
  '/admin/connectors/:id/certificates/:serial/revoke',
  '/admin/connectors/:id/disable',
  '/admin/connectors/:id/enable',
  '/admin/connectors/:id/package',
  '/admin/explain',
  '/admin/identities',
  '/admin/identities/look-up',
  '/admin/identities/:userId',
  '/admin/identities/:userId/export',
  '/admin/keys',
  '/admin/keys/:kid',
  '/admin/service-identities',
];

/** What only reads, and hands out what is known of persons. */
export const AUDITED_READS: ReadonlySet<string> = new Set([
  'GET /admin/identities',
  'GET /admin/identities/:userId',
  'GET /admin/identities/:userId/export',
]);

/** SECURITY: what names a person in the audit trail is an id, whatever somebody writes in its place. */
export const NAME_FORMS: Readonly<Record<string, RegExp>> = {
  userId: /^u-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/,
};
