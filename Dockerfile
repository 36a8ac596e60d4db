# The images of the stack in compose.yaml. Each but `pair` is one or two programs with the C library that they need, and
# nothing else: no shell, no package manager, nobody but the user that runs them. plimsoll has 12 MB, backend 8.7 MB, of which
# 3.2 MB are the libraries; the stack's test holds both to 14 MB.
#
#   docker build --target plimsoll -t plimsoll .       the balancer
#   docker build --target backend -t backend .         the demo backend with its agent
#   docker build --target loadtest -t loadtest .       the load generator
#   docker build --target pair -t plimsoll-pair .      the balancer and keepalived, see deploy/keepalived/

# The version is that of rust-toolchain.toml, which stays out of the build: it names components that only checks need.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# Downloads and compiled dependencies are kept from build to build; what is copied out is all that stays of them. Cargo
# compares times, and files of another checkout may be older than what this cache was built from: hence the touch.
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry \
    --mount=type=cache,sharing=locked,target=/src/target \
    find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --workspace --bin plimsoll --bin backend-agent --bin demo-backend --bin loadtest \
    && cd target/release && install -D --strip --target-directory=/programs plimsoll backend-agent demo-backend loadtest

# What a program finds around itself: the libraries it is linked to, where its loader looks for them; a user; and that
# host names are looked up in /etc/hosts and by DNS, both of which this C library does without further files.
RUN mkdir -p /around/etc \
    && ldd /programs/* | grep -o '/lib[^ ]*' | sort -u | xargs cp --parents --dereference --target-directory=/around \
    && echo 'plimsoll:x:65532:65532:plimsoll:/:/usr/sbin/nologin' > /around/etc/passwd \
    && echo 'plimsoll:x:65532:' > /around/etc/group \
    && echo 'hosts: files dns' > /around/etc/nsswitch.conf

FROM scratch AS minimal
COPY --from=build /around /
USER 65532:65532

FROM minimal AS loadtest
COPY --from=build /programs/loadtest /usr/bin/
ENTRYPOINT ["loadtest"]

# The agent is the first process and runs the backend beside itself, so that both live and end together.
FROM minimal AS backend
COPY --from=build /programs/backend-agent /programs/demo-backend /usr/bin/
EXPOSE 8000 9101
ENTRYPOINT ["backend-agent", "--listen", "0.0.0.0:9101", "--", "demo-backend", "--listen", "0.0.0.0:8000"]

# A balancer with keepalived beside it, for deploy/keepalived/: the one image with a system around the program, since
# keepalived is Debian's. tini reaps what its scripts leave behind and passes signals on.
FROM debian:bookworm-slim AS pair
RUN apt-get update \
    && apt-get install --yes --no-install-recommends keepalived tini \
    && rm -rf /var/lib/apt/lists/* /etc/keepalived
COPY --from=build /programs/plimsoll /usr/bin/
EXPOSE 80
ENTRYPOINT ["tini", "--", "bash", "/etc/plimsoll/both"]

# The last stage is what a build without --target makes.
FROM minimal AS plimsoll
COPY --from=build /programs/plimsoll /usr/bin/
EXPOSE 8080 9900
ENTRYPOINT ["plimsoll"]
CMD ["run", "-c", "/etc/plimsoll/plimsoll.yaml"]
