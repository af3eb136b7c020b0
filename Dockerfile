# Countersign in a container. Build: docker build -t countersign .
# The image runs one part a container, the idproxy unless told otherwise: docker run countersign issuer

FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc LICENSE ./
RUN npm ci
COPY tsconfig.base.json tsconfig.json ./
COPY scripts/build.mjs scripts/bundle-connector.mjs scripts/
COPY deploy deploy
COPY src src
RUN npm run build

FROM node:20.20.2-bookworm-slim AS production-packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM node:20.20.2-bookworm-slim AS runtime
# A container is reached from outside of it: what reaches the port is decided where the port is published.
ENV NODE_ENV=production \
    COUNTERSIGN_HOST=0.0.0.0 \
    COUNTERSIGN_DATA_DIR=/var/lib/countersign \
    COUNTERSIGN_KEYS_DIR=/etc/countersign/keys
RUN install -d -o node -g node -m 0700 /var/lib/countersign /etc/countersign/keys
WORKDIR /app
COPY package.json ./
COPY --from=production-packages /app/node_modules node_modules
COPY --from=build /app/dist dist
USER node
VOLUME ["/var/lib/countersign", "/etc/countersign/keys"]
EXPOSE 3000 4000 8081 8443
# HEALTH_PORT names the port of another part, the gateway's 8081 say; unset, the idproxy's is asked, then the issuer's, then the gateway's.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "const e = process.env, ports = e.HEALTH_PORT ? [e.HEALTH_PORT] : [e.COUNTERSIGN_IDPROXY_PORT || 4000, e.COUNTERSIGN_ISSUER_PORT || 3000, e.COUNTERSIGN_GATEWAY_CALLER_PORT || 8081]; const ask = ([port, ...rest]) => port === undefined ? process.exit(1) : require(e.COUNTERSIGN_TLS_CERT_FILE ? 'https' : 'http').get({ host: '127.0.0.1', port, path: '/healthz', rejectUnauthorized: false }, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => ask(rest)); ask(ports)"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["idproxy"]
