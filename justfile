# List the recipes.
default:
    @just --list

# Audit the demo deployment of this repository.
check *ARGS:
    cargo run --release -- check {{ARGS}}

# Everything that must pass before a merge.
test:
    scripts/test.sh

# Measure beside the least that it could cost and beside other tools; --short, --million, --document, CASE.
bench *ARGS:
    scripts/bench.sh {{ARGS}}

# Write the output in the documents anew.
docs:
    UPDATE_DOCS=1 cargo test docs

# Dependencies: bans, licences, sources, advisories.
deny:
    scripts/deny.sh

# Hostile input for what reads: [SECONDS] [TARGET…].
fuzz *ARGS:
    scripts/fuzz.sh {{ARGS}}

# Measures a check of a server behind a slow link.
bench-ssh *ARGS:
    scripts/bench_ssh.sh {{ARGS}}

# Build the release twice, and compare.
reproducible:
    scripts/reproducible.sh

# Build the container image; --tag NAME, --binary FILE.
image *ARGS:
    scripts/image.sh {{ARGS}}

# Build what a release consists of: a Debian package and a static binary; --out DIR.
release *ARGS:
    scripts/release.sh {{ARGS}}

# Install, use and remove the package in a container.
try-package *ARGS:
    scripts/try_package.sh {{ARGS}}
