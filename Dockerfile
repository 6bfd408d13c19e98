# syntax=docker/dockerfile:1

# Dependencies are built in a layer of their own, which changes only with the manifest.
FROM rust:1-slim-bookworm AS build
WORKDIR /build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo/config.toml .cargo/
COPY proto proto
COPY openapi/examples openapi/examples
# The manifest names benches and tests, so the files must be there; none is built.
COPY benches benches
COPY tests/it/main.rs tests/it/main.rs
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin causeway

# The real sources are newer than the dummies, by name too: touch makes cargo see it.
COPY migrations migrations
COPY src src
RUN touch src/lib.rs src/main.rs && cargo build --release --locked --bin causeway

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin causeway
COPY --from=build /build/target/release/causeway /usr/local/bin/causeway
USER 10001

# Without authentication the gateway listens on loopback only, in a container too: share the network of whoever calls it
# (a pod, --network container:…, --network host). compose.yaml has it with authentication.
ENV CAUSEWAY__IDENTITY__MODE=none \
    CAUSEWAY__HTTP__LISTEN=127.0.0.1:8080 \
    CAUSEWAY__TELEMETRY__LOG__FORMAT=json
HEALTHCHECK --interval=10s --timeout=4s --start-period=2s CMD ["causeway", "healthcheck", "--url", "http://127.0.0.1:8080"]
ENTRYPOINT ["causeway"]
CMD ["serve"]
