# Has folders of its own in the place of the system's, and tries the daemon of the system in them.
# $T: a folder with the programs and apps.toml.
set -eu
mkdir -p "$T/etc/supervisor" "$T/alice" "$T/bob"
cp -L /etc/passwd /etc/group /etc/nsswitch.conf "$T/etc/"
printf '[daemon]\ngroup = "games"\n' > "$T/etc/supervisor/supervisor.toml"
cat >> "$T/etc/supervisor/supervisor.toml" < "$T/apps.toml"
chown 65534:65534 "$T/alice" "$T/bob"
mount --bind "$T/etc" /etc
for folder in /run /var/lib /var/log; do mount -t tmpfs none "$folder"; done
unset SUPERVISOR_HOME SUPERVISOR_SYSTEM XDG_RUNTIME_DIR XDG_STATE_HOME XDG_CONFIG_HOME || true
as() { # HOME GROUPS WORDS…
    who=$1 groups=$2; shift 2
    echo "== $who $*"
    HOME="$T/$who" setpriv --reuid=65534 --regid=65534 $groups "$T/supervisorctl" "$@" 2>&1 && code=0 || code=$?
    echo "== exit $code"
}
trap '"$T/supervisorctl" daemon stop; as bob --groups=60 daemon stop' EXIT
cd "$T" && "$T/supervisorctl" up
as alice --clear-groups status
as alice --groups=60 status
as alice --groups=60 restart api
as alice --groups=60 start api
mkdir -p "$T/alice/.local/state/supervisor"
as alice --groups=60 status
as alice --groups=60 --system status
SUPERVISOR_SYSTEM=1 as alice --groups=60 stop api
as bob --groups=60 start sleep --name mine -- 60
as bob --groups=60 pid mine
as bob --groups=60 --system status
