#!/usr/bin/env bash
# Builds the programs as they are shipped, then runs every test against them.
# Arguments go to `cargo test`:  tests/run.sh --test first_run
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/needs.sh

need_all
need_for_tests
say "building the programs (cargo build --release)"
cargo build --release --locked -p supervisor -p supervisorctl
SUPERVISOR_BIN_DIR=$(target_folder)/release
export SUPERVISOR_BIN_DIR

say "building another supervisor for upgrades (cargo build)"
cargo build --locked -p supervisor

# The tests themselves in the dev profile: the release profile's link-time optimisation would be
# paid for every test program, and their dependencies would be built twice all the same, because
# tests unwind and the programs abort.
say "testing (cargo test)"
if (($#)); then
    cargo test --locked -p supervisor-tests "$@"
else
    cargo test --locked --workspace
fi
say "all tests passed"
