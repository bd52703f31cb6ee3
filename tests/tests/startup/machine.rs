//! A machine whose systemd is a script: `systemctl` and `loginctl` note what they are told and
//! answer as the real ones do. Needs root, for mounts of its own in front of systemd's folders.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;
use supervisor_tests::{Home, Output, programs};

/// Who types the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Root,
    /// One with this uid, whom the user database does not know.
    Somebody,
}

pub const SOMEBODY: u32 = 54_321;

/// The machine.
pub struct Machine<'a> {
    home: &'a Home,
    who: Who,
}

/// Keeps its state in the folder `sd` beside it: `log`, `enabled`, `fail`.
const SYSTEMCTL: &str = r#"#!/bin/sh
sd=${0%/*}/../sd
echo "systemctl $*" >> "$sd/log"
[ "$1" = --user ] && shift
pid=$(head -n 1 "$SUPERVISOR_HOME/state/lock" 2>/dev/null)
[ -e "$sd/started" ] && grep -qs 'State:.[^ZX]' "/proc/${pid:-0}/status" || pid=0
if [ "$1" = "$(cat "$sd/fail" 2>/dev/null)" ]; then
    echo "Job for supervisor.service failed because of a test." >&2
    exit 1
fi
case "$1 $2" in
    "show --property=MainPID") echo "$pid";;
    "show --property=ActiveState") [ "$pid" = 0 ] && echo inactive || echo active;;
    "show --property=NeedDaemonReload") echo no;;
    "is-enabled "*) [ -e "$sd/enabled" ] && echo enabled || { echo disabled; exit 1; };;
    "enable "*) touch "$sd/enabled"; echo "Created symlink." >&2;;
    "disable "*) rm "$sd/enabled";;
    daemon-reload* | "kill supervisor-apps.service") ;;
    "start "*) touch "$sd/started"; exec "$(cat "$sd/program")" --daemonize;;
    *) echo "what is $*?" >&2; exit 9;;
esac
"#;

const LOGINCTL: &str = r#"#!/bin/sh
sd=${0%/*}/../sd
echo "loginctl $*" >> "$sd/log"
[ -e "$sd/nolinger" ] && { echo "Could not enable linger: Access denied" >&2; exit 1; }
exit 0
"#;

impl Machine<'_> {
    /// A new one; `None`, said on standard output, where that cannot be.
    pub fn new(home: &Home, who: Who) -> Option<Machine<'_>> {
        if !Uid::effective().is_root() {
            println!("skipped: a systemd of its own needs root");
            return None;
        }
        for folder in ["bin", "sd", "run/systemd/system", "units", "packages"] {
            fs::create_dir_all(home.file(folder)).expect("own folder");
        }
        for (name, text) in [("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)] {
            let program = home.write(&format!("bin/{name}"), text);
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("own file");
        }
        let programs = [programs::supervisor(), programs::supervisorctl()];
        for program in programs {
            let name = program
                .file_name()
                .and_then(|name| name.to_str())
                .expect("plain");
            home.copy(&program, &format!("bin/{name}"));
        }
        home.write("sd/program", &home.text_of("bin/supervisor"));
        let machine = Machine { home, who };
        if who == Who::Somebody {
            for path in [home.path(), home.work(), home.file("sd")] {
                chown(path, Some(SOMEBODY), Some(SOMEBODY)).expect("root may");
            }
        }
        Some(machine)
    }

    /// `supervisorctl` there.
    pub fn ctl(&self, words: &[&str]) -> Output {
        Output::of(
            self.command()
                .arg(self.home.file("bin/supervisorctl"))
                .args(words),
        )
    }

    /// Runs what follows there.
    pub fn command(&self) -> Command {
        const SCRIPT: &str = "set -e
            mkdir -p /etc/systemd/system /usr/lib/systemd/system
            mount --bind units /etc/systemd/system
            mount --bind packages /usr/lib/systemd/system
            mount --bind run /run
            exec \"$@\"";
        let mut command = self.home.command(Path::new("unshare"));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.home.text_of("bin"));
        command
            .env("PATH", path)
            .env("XDG_CONFIG_HOME", self.home.file("config"));
        command.args(["--mount", "/bin/sh", "-c", SCRIPT, "sh"]);
        if self.who == Who::Somebody {
            let id = SOMEBODY.to_string();
            command.args(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
        }
        command
    }

    /// Where the units are, seen from outside.
    pub fn units(&self) -> PathBuf {
        match self.who {
            Who::Root => self.home.file("units"),
            Who::Somebody => self.home.file("config/systemd/user"),
        }
    }

    /// The daemon's unit.
    pub fn unit(&self) -> String {
        fs::read_to_string(self.units().join("supervisor.service")).expect("it is there")
    }

    /// What systemd was told to do since the last time, without questions.
    pub fn told(&self) -> Vec<String> {
        let log = self.home.file("sd/log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        fs::write(&log, "").expect("own file");
        let asks = |line: &&str| line.contains(" show ") || line.contains(" is-enabled ");
        text.lines()
            .filter(|line| !asks(line))
            .map(str::to_owned)
            .collect()
    }

    /// Makes a word of `systemctl` fail; "" none.
    pub fn fails(&self, word: &str) {
        self.home.write("sd/fail", word);
    }
}
