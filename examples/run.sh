#!/usr/bin/env bash
# Builds the supervisor, starts the example backend under it, and shows how it is doing.
# Everything stays below the build folder, unless SUPERVISOR_HOME says otherwise. Running it again is fine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/needs.sh

config=examples/smd-backend/supervisor.toml
port=$(sed -n 's/^env .*PORT = "\([0-9]*\)".*/\1/p' "$config")
url=http://127.0.0.1:$port

# The pid of the backend that answers on the port, "none" if the port is free, or "other".
who_answers() {
    node -e '
        const done = (what) => { console.log(what); process.exit(); };
        fetch(process.argv[1] + "/health", { signal: AbortSignal.timeout(2000) })
            .then((reply) => reply.json())
            .then((health) => done(health.pid ?? "other"))
            .catch((error) => done(error.cause?.code === "ECONNREFUSED" ? "none" : "other"));
    ' "$url"
}

# The pids of our own backend.
our_pids() {
    supervisorctl status smd-backend --json 2>/dev/null | node -e '
        const text = require("fs").readFileSync(0, "utf8");
        for (const row of text.trim() ? JSON.parse(text) : []) console.log(row.pid);
    ' || true
}

check_port() {
    local who
    who=$(who_answers)
    if [[ $who == none ]] || our_pids | grep -qx "$who"; then return; fi
    fail "port $port of 127.0.0.1 is taken by another program." \
        "Who it is:  sudo ss -ltnp 'sport = :$port'" \
        "Stop it, or choose another PORT in $config, and run this again."
}

ask_health() {
    local deadline=$((SECONDS + 10))
    until our_pids | grep -qx "$(who_answers)"; do
        ((SECONDS < deadline)) || fail "the backend does not answer on $url/health." \
            "What it says:  supervisorctl logs smd-backend --no-follow"
        sleep 0.1
    done
    node -e 'fetch(process.argv[1]).then((reply) => reply.text()).then(console.log)' "$url/health"
}

need_all
say "building (cargo build --release)"
cargo build --release --locked -p supervisor -p supervisorctl

target=$(target_folder)
export SUPERVISOR_HOME=${SUPERVISOR_HOME:-$target/example-home}
export PATH="$target/release:$PATH"
socket=$SUPERVISOR_HOME/run/supervisor.sock
((${#socket} <= 107)) ||
    fail "$socket has ${#socket} bytes, and a Unix socket's path has at most 107." \
        "Choose a shorter place:  SUPERVISOR_HOME=\$HOME/sv-home examples/run.sh"
mkdir -p "$SUPERVISOR_HOME"

check_port
say "supervisorctl up $config"
supervisorctl up "$config"
# One that was stopped by hand stays stopped at `up`; whoever runs this wants to see it run.
supervisorctl status smd-backend >/dev/null || supervisorctl start smd-backend
say "supervisorctl status"
supervisorctl status
say "GET $url/health"
ask_health

cat <<END

The backend runs. To go on in this terminal, paste this line first:

    export SUPERVISOR_HOME='$SUPERVISOR_HOME' PATH='$target/release':"\$PATH"

Then try:

    supervisorctl logs smd-backend                                  # Ctrl-C leaves
    kill -9 \$(supervisorctl daemon status --json | node -p 'JSON.parse(fs.readFileSync(0)).engine_pid')
    supervisorctl status                                            # nothing happened to the backend
    node -e 'fetch("$url/trouble/crash", { method: "POST" })'
    supervisorctl show smd-backend                                  # it crashed, and is back
    supervisorctl restart smd-backend

To stop everything:

    supervisorctl daemon stop
END
