#!/usr/bin/env bash
# Builds the programs as they are shipped, then compares them with the machine's own limits and
# with every other process manager that is installed. Arguments go to the benchmark:
#   tests/benchmark.sh --quick
#   tests/benchmark.sh --rows respawn,log-4k --managers ours,bare
#   tests/benchmark.sh --json FILE --readme README.md
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/needs.sh

need_all
say "building the programs (cargo build --release)"
cargo build --release --locked -p supervisor -p supervisorctl
SUPERVISOR_BIN_DIR=$(target_folder)/release
export SUPERVISOR_BIN_DIR

# As for the tests, what measures is built in the dev profile: it unwinds, and so stops what it
# started when it fails.
say "building the benchmark (cargo build)"
cargo build --locked -p supervisor-tests --bins

missing() {
    command -v "$1" >/dev/null || printf '    %s is not installed and left out; to have it: %s\n' "$2" "$3"
}
say "measuring; what else the machine does meanwhile shows in the figures"
missing pm2 PM2 "npm install --global pm2"
missing supervisord supervisord "apt-get install --no-install-recommends supervisor"
missing s6-svscan s6 "apt-get install s6"
missing runsvdir runit "apt-get install --no-install-recommends runit"
missing rg ripgrep "apt-get install --no-install-recommends ripgrep"
exec "$(target_folder)/debug/benchmark" "$@"
