//! The table of words.

use super::Answer::{self, Is, Later, Nothing, Say, Tail};

/// Names of one meaning, and the answer.
pub const WORDS: &[(&[&str], Answer)] = &[
    // PM2: apps.
    (&["desc"], Is(&["show"])),
    (&["jlist", "prettylist"], Is(&["status", "--json"])),
    (&["ping"], Is(&["daemon", "status"])),
    (&["sendSignal"], Is(&["signal"])),
    (
        &["startOrRestart", "startOrReload", "startOrGracefulReload"],
        Is(&["up"]),
    ),
    (&["kill"], Is(&["daemon", "stop"])),
    (
        &["save", "dump"],
        Nothing("nothing to do: everything is always saved"),
    ),
    (&["resurrect"], Is(&["daemon", "start"])),
    (
        &["cleardump"],
        Say("what runs is what is remembered; `supervisorctl delete all` forgets every app"),
    ),
    (
        &[
            "reloadLogs",
            "reloadLogsSilently",
            "reload-logs",
            "reopen",
            "reopen-logs",
        ],
        Is(&["daemon", "reload-logs"]),
    ),
    (
        &["attach"],
        Say(
            "`supervisorctl logs NAME` shows what it writes, `supervisorctl send NAME LINE` writes to its \
             standard input",
        ),
    ),
    (
        &["ecosystem", "init", "create", "sample"],
        Say(
            "apps are written as [app.NAME] tables into supervisor.toml, then `supervisorctl up`; a table \
             needs no more than `command = \"node index.js\"`. `supervisorctl start SCRIPT` needs no file",
        ),
    ),
    (
        &["examples"],
        Say("each verb has its own: `supervisorctl start --help`"),
    ),
    (
        &["completion"],
        Say("`supervisorctl completions bash|zsh|fish`; its --help says where to put it"),
    ),
    // PM2: what is other tools' work.
    (
        &["deploy", "pull", "forward", "backward"],
        Say(
            "sources are brought in by git or whatever deploys them; then `supervisorctl restart NAME`",
        ),
    ),
    (
        &["serve", "expose"],
        Say(
            "files are served by a program of your choice: `supervisorctl start 'python3 -m http.server 8080'`",
        ),
    ),
    (
        &[
            "module:install",
            "module:uninstall",
            "module:update",
            "module:generate",
            "module:publish",
            "package",
            "publish",
            "autoinstall",
        ],
        Say("there are no modules; what is needed is built in"),
    ),
    (
        &["logrotate"],
        Say("there is nothing to install: the `logs` keys of an app say how its files are kept"),
    ),
    (
        &["set", "get", "conf", "config", "multiset", "unset"],
        Say("settings are keys of supervisor.toml; `supervisorctl show NAME` shows an app's"),
    ),
    (
        &[
            "link",
            "unlink",
            "plus",
            "register",
            "login",
            "logout",
            "monitor",
            "unmonitor",
            "open",
        ],
        Say(
            "nothing is sent to a service elsewhere; `supervisorctl status --watch` shows this machine",
        ),
    ),
    (
        &["web"],
        Say("there is no web page; `supervisorctl status --json` is for programs"),
    ),
    (
        &["trigger"],
        Say(
            "an app is reached by `supervisorctl signal USR2 NAME` or `supervisorctl send NAME LINE`",
        ),
    ),
    (
        &["inspect", "profile:mem", "profile:cpu", "heapdump"],
        Say("Node does it itself: `supervisorctl start SCRIPT --node-args=--inspect`"),
    ),
    (
        &["report", "slist", "sysinfos", "sysmonit"],
        Say(
            "`supervisorctl daemon status` tells about the daemon, `supervisorctl status --json` about the apps",
        ),
    ),
    (&["updatePM2", "deepUpdate"], Is(&["daemon", "upgrade"])),
    // supervisord.
    (
        &["update"],
        Say(
            "`supervisorctl daemon reload` reads the configured files again and makes their apps so; for \
             another version of the program: `supervisorctl daemon upgrade`",
        ),
    ),
    (&["reread"], Is(&["daemon", "reload", "--dry-run"])),
    (&["shutdown"], Is(&["daemon", "stop"])),
    (&["avail"], Is(&["status"])),
    (&["clear"], Is(&["flush"])),
    (&["tail"], Tail),
    (&["version"], Is(&["daemon", "status"])),
    (
        &["fg"],
        Say(
            "`supervisorctl logs NAME` shows what it writes, `supervisorctl send NAME LINE` writes to its \
             standard input",
        ),
    ),
    (
        &["maintail"],
        Say(
            "the daemon's own log is a file, which `supervisorctl daemon status` names: `tail -F` shows it",
        ),
    ),
    (
        &["add"],
        Say("`supervisorctl start SCRIPT` adds an app, `supervisorctl up FILE` those of a file"),
    ),
    (
        &["quit", "exit"],
        Nothing("there is nothing to leave: each command ends by itself"),
    ),
    // systemctl.
    (&["is-active"], Is(&["status"])),
    (&["cat"], Is(&["show"])),
    (&["list-units"], Is(&["status"])),
    (&["daemon-reload"], Is(&["daemon", "reload"])),
    (&["upgrade"], Is(&["daemon", "upgrade"])),
    (&["reload-or-restart"], Is(&["reload"])),
    (
        &["enable", "disable", "is-enabled"],
        Say(
            "what ran when the machine went down runs again; an app's `boot` key (\"always\", \"never\") says \
             otherwise",
        ),
    ),
    // Ours, later.
    (
        &["why"],
        Later("`supervisorctl show NAME` has the last exit and the last lines of standard error"),
    ),
    (
        &["events", "journal"],
        Later(
            "`supervisorctl show NAME` has the last exit, and the file that `supervisorctl daemon status` names as \
               log what the daemon wrote",
        ),
    ),
    (
        &["monit", "top", "imonit", "dashboard", "dash"],
        Later("`supervisorctl status --watch`"),
    ),
    (
        &["import"],
        Later(
            "write each app of the ecosystem file as an [app.NAME] table with command, directory and env \
               into supervisor.toml, then `supervisorctl up`",
        ),
    ),
];
