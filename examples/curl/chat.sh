#!/bin/sh
# From a name to a bearer, to the URL of a web socket, and out again. Needs curl and a running `countersign start`.
# What is secret goes through standard input: arguments of a process can be read by others on the machine.
set -eu
ISSUER_URL=${ISSUER_URL:-http://127.0.0.1:3000}
IDPROXY_URL=${IDPROXY_URL:-http://127.0.0.1:4000}
IDENTITY=${IDENTITY:-alice@example.com}

# with_bearer URL [arguments of curl]: a request with the bearer
with_bearer() { printf 'authorization: Bearer %s' "$BEARER" | curl -sS --fail-with-body -H @- "$@"; }
# member NAME: the text of a member of the JSON object on standard input
member() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }

JWT=$(curl -sS --fail-with-body "$ISSUER_URL/api/users/sts" --data-urlencode "identity=$IDENTITY" | member jwt)
BEARER=$(printf '%s' "$JWT" | curl -sS --fail-with-body "$IDPROXY_URL/authorize" --data-urlencode assertion@- |
  member access_token)

printf 'user:    %s\n' "$(with_bearer "$IDPROXY_URL/api/1.1/userinfo" | member sub)"
printf 'socket:  %s\n' "$(with_bearer "$IDPROXY_URL/api/rtm/start" -d 'botInfo[taskBotId]=st-1' | member url | sed 's/sid=[^&]*/sid=…/')"
printf 'data = "token=%s"\nheader = "authorization: Bearer %s"\n' "$BEARER" "$BEARER" |
  curl -sS --fail-with-body -K - "$IDPROXY_URL/oauth/revoke" > /dev/null
printf 'revoked: %s\n' "$(with_bearer "$IDPROXY_URL/api/1.1/userinfo" -o /dev/null -w '%{http_code}' || true)"
