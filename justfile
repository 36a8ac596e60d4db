# Says what there is to do. Every recipe is one line; CI uses the same commands.

_default:
    @just --list --unsorted

# Everything that must hold before a change is merged
check:
    ./check

# The tests alone; arguments go to cargo test
test *ARGS:
    cargo test --workspace --locked {{ARGS}}

# Format and lints
lint:
    ./check fmt lint

# The documentation, opened in a browser
doc:
    cargo doc --workspace --no-deps --open

# Serve a configuration
run CONFIG='plimsoll.yaml':
    cargo run --release -- run -c {{CONFIG}}

# Three backends, the balancer and load, shown live
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# An outage in the compose stack, and a report of it in target/experiment
experiment *ARGS:
    cargo run --release -p loadtest --bin experiment -- {{ARGS}}

# The rules of Prometheus, checked and tested incident by incident
rules:
    promtool check config monitoring/prometheus.yml && promtool test rules monitoring/rules/tests/*.yml

# Accept changed generated files and snapshots; read the diff before you commit it
bless:
    BLESS=1 INSTA_UPDATE=always cargo test --workspace --locked

# The stack of compose.yaml, built and run for real; needs Docker
compose-test:
    ./check compose

# Fuzz one target for longer than ./check does
fuzz TARGET SECONDS='600':
    cargo +nightly fuzz run {{TARGET}} fuzz/corpus/{{TARGET}} fuzz/seeds/{{TARGET}} -- -max_total_time={{SECONDS}}

# Licences, advisories and sources of the dependencies
deny:
    cargo deny check
