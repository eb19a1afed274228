# List the recipes.
default:
    @just --list

# Audit the demo deployment of this repository.
check *ARGS:
    cargo run --release -- check {{ARGS}}

# Everything that must pass before a merge.
test:
    scripts/test.sh

# Measure beside other tools; --short, --million.
bench *ARGS:
    scripts/bench.sh {{ARGS}}

# Write the output in the documents anew.
docs:
    UPDATE_DOCS=1 cargo test docs

# Dependencies: bans, licences, sources.
deny:
    cargo deny check bans licenses sources

# Hostile input for what reads: [SECONDS] [TARGET…].
fuzz *ARGS:
    scripts/fuzz.sh {{ARGS}}

# Measures a check of a server behind a slow link.
bench-ssh *ARGS:
    scripts/bench_ssh.sh {{ARGS}}

# Build the container image; --tag NAME, --binary FILE.
image *ARGS:
    scripts/image.sh {{ARGS}}
