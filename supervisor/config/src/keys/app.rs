//! The keys of an app, without the `app.NAME.` before them.

use super::{AppRole, Group, Key, NotYet, not_yet, rows};
use crate::shown::Tell;
use crate::{Effect, LogFormat, OnFull, Stdin, form};
use supervisor_core::{Boot, RestartWhen};

/// The tables of an app.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        path: "restart",
        doc: " When and how fast it is started again.",
        example: "restart.policy = \"always\"",
        one_of: &[],
    },
    Group {
        path: "stop",
        doc: " How it is stopped.",
        example: "stop.signal = \"SIGTERM\"",
        one_of: &[],
    },
    Group {
        path: "ready",
        doc: " How to tell that it has started.",
        example: "ready.http = \"http://127.0.0.1:3001/health\"",
        one_of: &[
            "ready.http",
            "ready.tcp",
            "ready.exec",
            "ready.log",
            "ready.notify",
        ],
    },
    Group {
        path: "health",
        doc: " How to tell that it still works; one that does not is restarted.",
        example: "health.http = \"http://127.0.0.1:3001/health\"",
        one_of: &["health.http", "health.tcp", "health.exec", "health.notify"],
    },
    Group {
        path: "logs",
        doc: " What becomes of what it writes.",
        example: "logs.max_size = \"50MB\"",
        one_of: &[],
    },
    Group {
        path: "limits",
        doc: " What it may use.",
        example: "limits.memory = \"512MB\"",
        one_of: &[],
    },
    Group {
        path: "watch",
        doc: " Files whose change restarts it.",
        example: "watch.paths = [\"dist\"]",
        one_of: &[],
    },
];

/// A key that is one field of the app.
macro_rules! carried {
    ($role:ident, $form:expr, ($effect:ident, $($field:ident).+)) => {
        $role::Carried {
            set: |app, value, reading| {
                if let Some(new) = ($form.read)(value, reading) {
                    app.$($field).+ = new.into();
                }
            },
            tell: |app| app.$($field).+.tell(),
            effect: Effect::$effect,
        }
    };
}

/// A key whose value is laid over what the defaults say, name by name.
macro_rules! laid_over {
    ($role:ident, $form:expr, ($effect:ident, $field:ident)) => {
        $role::Carried {
            set: |app, value, reading| {
                app.$field
                    .extend(($form.read)(value, reading).unwrap_or_default());
            },
            tell: |app| app.$field.tell(),
            effect: Effect::$effect,
        }
    };
}

rows! { /// All of them. Keys of one table stand together.
APP: AppRole {
    /// The program and its arguments: an array of words, or one text that is split as a shell
    /// splits; no shell is run.
    "command": form::COMMAND => carried(Process, command);
    /// Where it runs. A relative path starts at the folder of the file, which is also the default.
    "directory": form::DIRECTORY => carried(Process, directory);
    /// Whom it runs as; only a daemon of root can choose. Default: the daemon's own user.
    "user": form::ACCOUNT => carried(Process, user);
    /// The group it runs as; only a daemon of root can choose. Default: the user's own.
    "group": form::ACCOUNT => carried(Process, group);
    /// Groups apps, for commands: `supervisorctl restart shop/`.
    "namespace": form::NAMESPACE => carried(Policy, namespace);
    /// Variables of its environment; they win over those of env_file.
    "env": form::ENV => laid_over(Process, env);
    /// Files of NAME=value lines, read at each start, relative to directory; later ones win, and one
    /// that ends in "?" may be missing.
    "env_file": form::ENV_FILE => carried(Process, env_file);
    /// How many run at once; "max" is one for each CPU.
    "instances": form::INSTANCES => carried(Instances, instances);
    /// What it reads from: nothing, or a pipe that `supervisorctl send` writes to.
    "stdin": form::words::<Stdin>() => carried(Process, stdin);
    /// Whether it starts with the daemon; "last": as it was when the machine went down.
    "boot": form::words::<Boot>() => carried(Policy, policy.boot);
    /// Apps that must be ready before it starts, and that stop after it.
    "after": form::NAMES => carried(Policy, policy.after);
    /// What must answer before it starts, after those in after: tcp:HOST:PORT, unix:PATH, file:PATH
    /// (it is there) or http://HOST/PATH (2xx or 3xx). It waits for as long as it takes.
    "wait_for": form::WAIT_FOR => carried(Policy, wait_for);
    /// Sockets that the supervisor holds open and hands over: IP:PORT, [::]:PORT or unix:PATH.
    "listen": form::LISTEN => not_yet(Some("[]"), |sockets| !sockets.is_empty());
    /// Makes it a job, with the times when it runs: minute, hour, day of the month, month and day of
    /// the week.
    "schedule": form::CRON => not_yet();
    /// The time zone that schedule counts in. Default: the machine's.
    "timezone": form::TIMEZONE => not_yet();

    /// Which exits lead to a new start.
    "restart.policy": form::words::<RestartWhen>() => carried(Policy, policy.restart.policy);
    /// Before the first restart; from the second quick exit in a row on it doubles.
    "restart.delay": form::DURATION => carried(Policy, policy.restart.delay);
    /// The most that the delay grows to.
    "restart.max_delay": form::DURATION => carried(Policy, policy.restart.max_delay);
    /// Up this long, the exits before are forgotten.
    "restart.stable_after": form::DURATION => carried(Policy, policy.restart.stable_after);
    /// Quick exits in a row before it is given up; 0 is never.
    "restart.max_restarts": form::COUNT => carried(Policy, policy.restart.max_restarts);
    /// Exit codes, and signals by name, that are not failures.
    "restart.success": form::EXITS => carried(Policy, policy.restart.success);

    /// What asks it to end; goes to the process group of its main process.
    "stop.signal": form::SIGNAL => carried(Policy, stop_signal);
    /// How long it has to end before SIGKILL goes to everything it started.
    "stop.timeout": form::DURATION => carried(Policy, policy.stop.timeout);

    /// Ready when this address answers with 2xx or 3xx.
    "ready.http": form::HTTP => not_yet();
    /// Ready when this address takes a connection: HOST:PORT.
    "ready.tcp": form::TCP => not_yet();
    /// Ready when this command exits with 0.
    "ready.exec": form::COMMAND => not_yet();
    /// Ready when it writes a line that this regular expression matches.
    "ready.log": form::REGEX => not_yet();
    /// Ready when it says so, through sd_notify or process.send('ready').
    "ready.notify": form::YES => not_yet(Some("false"), |yes| yes);
    /// How long it has to become ready.
    "ready.timeout": form::SOME_TIME => not_yet();

    /// Healthy while this address answers with 2xx or 3xx.
    "health.http": form::HTTP => not_yet();
    /// Healthy while this address takes a connection: HOST:PORT.
    "health.tcp": form::TCP => not_yet();
    /// Healthy while this command exits with 0.
    "health.exec": form::COMMAND => not_yet();
    /// Healthy while it says so, as a watchdog of sd_notify.
    "health.notify": form::YES => not_yet(Some("false"), |yes| yes);
    /// From one check to the next.
    "health.interval": form::SOME_TIME => not_yet();
    /// How long the answer may take.
    "health.timeout": form::SOME_TIME => not_yet();
    /// So many bad answers in a row, and it is restarted.
    "health.failures": form::integer::<u32, 1, 1_000_000>() => not_yet();

    /// A log file of this size is rotated at its next line end, at the latest 1 MiB later; earlier
    /// where less than two of this size fit into max_total.
    "logs.max_size": form::LOG_SIZE => carried(Policy, logs.max_size);
    /// A log file of this age is rotated; "0s" is by size only.
    "logs.max_age": form::LOG_AGE => carried(Policy, logs.max_age);
    /// How many rotated files of each stream are kept.
    "logs.keep": form::COUNT => carried(Policy, logs.keep);
    /// For all logs of this app, whatever the rest says; the oldest rotated files go first.
    "logs.max_total": form::LOG_SIZE => carried(Policy, logs.max_total);
    /// Whether rotated files are compressed, with zstd.
    "logs.compress": form::YES => carried(Policy, logs.compress);
    /// Whether stdout and stderr go through one pipe: their true order, but not told apart.
    "logs.merge": form::YES => carried(Process, logs.merge);
    /// "raw": byte for byte as written; "timestamp": with the time before each line.
    "logs.format": form::words::<LogFormat>() => carried(Policy, logs.format);
    /// When the disk is full: drop and count, or let it wait.
    "logs.on_full": form::words::<OnFull>() => carried(Policy, logs.on_full);
    /// A file for stdout instead of the usual one, or "null" for none; relative to directory, with
    /// {app} and {instance} where those belong.
    "logs.stdout": form::LOG_FILE => carried(Process, logs.stdout);
    /// A file for stderr instead of the usual one, or "null" for none; as stdout.
    "logs.stderr": form::LOG_FILE => carried(Process, logs.stderr);

    /// With more memory than this it is restarted.
    "limits.memory": form::SOME_SIZE => not_yet();
    /// It never gets more memory than this, and no swap: the kernel kills it first. Needs cgroups.
    "limits.memory_hard": form::MEMORY => carried(Process, ceilings.memory);
    /// How many CPUs it may keep busy: 0.5, or "50%". Needs cgroups.
    "limits.cpu": form::CPU => carried(Process, ceilings.cpu);
    /// How many processes and threads it may have. Needs cgroups.
    "limits.pids": form::TASKS => carried(Process, ceilings.pids);
    /// How many files it may have open. Default: as the daemon was started with.
    "limits.nofile": form::integer::<u32, 1, 1_073_741_816>() => carried(Process, limits.nofile);
    /// Its share of the CPU where that is short: -20 gets the most, 19 the least; less than the
    /// daemon's own only for a daemon of root. Default: the daemon's own.
    "limits.nice": form::integer::<i32, -20, 19>() => carried(Process, limits.nice);
    /// Whom the kernel kills first when memory is short: -1000 last, 1000 first; less than what the
    /// daemon was started with only for a daemon of root. Default: what that was started with.
    "limits.oom_score_adj": form::integer::<i32, -1000, 1000>() => carried(Process, limits.oom_score_adj);
    /// Which permissions its new files lack, in octal. Default: "022".
    "limits.umask": form::UMASK => carried(Process, limits.umask);
    /// Whether setuid programs and sudo give it nothing: neither it nor what it starts gets more rights.
    "limits.no_new_privs": form::YES => carried(Process, limits.no_new_privs);

    /// Files and folders, relative to directory.
    "watch.paths": form::PATHS => not_yet(Some("[]"), |paths| !paths.is_empty());
    /// Patterns of files that do not count.
    "watch.ignore": form::GLOBS => not_yet(Some("[]"), |globs| !globs.is_empty());
    /// How long nothing must change before it is restarted.
    "watch.debounce": form::DURATION => not_yet();
} }
