//! The table of options that do nothing here, each with the reason or the way out.

/// Names of one meaning, and what there is to say.
pub const REFUSED: &[(&[&str], &str)] = &[
    // PM2's `start`, `restart`, `reload`, `stop`, `delete`.
    (
        &["-f", "--force"],
        "nothing has to be forced; the same script runs a second time under another --name",
    ),
    (
        &["--hp"],
        "HOME is that of the app's user (--user), or what --env HOME=DIR says",
    ),
    (
        &["--no-daemon"],
        "`supervisor` runs in the foreground; then `supervisorctl start` in another terminal",
    ),
    (
        &["--attach"],
        "start it without, then `supervisorctl logs NAME`",
    ),
    (
        &["--no-treekill"],
        "an app is always stopped with all its processes, so that none is left behind",
    ),
    (
        &["--no-autostart"],
        "what is added is started; `supervisorctl stop NAME` stops it again",
    ),
    (
        &["--merge-logs"],
        "each instance has its own log files, and `supervisorctl logs NAME` shows them together",
    ),
    (
        &["--log-type"],
        "log files hold what the app wrote, byte for byte",
    ),
    (
        &["--log-date-format"],
        "--time prefixes each line with its time, always in the same format",
    ),
    (
        &["-p", "--pid"],
        "no pid file is written; `supervisorctl pid NAME` prints the pid",
    ),
    (
        &["--only"],
        "a file is made so as a whole; `supervisorctl start NAME` or `restart NAME` for one of its apps",
    ),
    (
        &["--parallel"],
        "several apps go side by side by themselves, the instances of one `reload` one after the other",
    ),
    (
        &["--shutdown-with-message"],
        "an app is asked to stop by a signal: --stop-signal",
    ),
    (
        &["--source-map-support", "--disable-source-map-support"],
        "Node does it itself: --node-args=--enable-source-maps",
    ),
    (
        &["--ext"],
        "what is watched is said by --watch=DIR and --ignore-watch=GLOB",
    ),
    (
        &["-w", "--write"],
        "what is started is remembered without a file; a file is written by hand, for `supervisorctl up`",
    ),
    (
        &[
            "--trace",
            "--disable-trace",
            "--v8",
            "--event-loop-inspector",
            "--deep-monitoring",
            "--monitor",
        ],
        "nothing is built into the app; `supervisorctl status` shows its processor time and memory",
    ),
    (
        &[
            "--container",
            "--dist",
            "--image-name",
            "--node-version",
            "--dockerdaemon",
            "--fresh",
        ],
        "no containers are built; in one, `supervisor` runs in the foreground as its first process",
    ),
    (
        &["--wait-ip", "--service-name"],
        "the boot unit comes with a later version",
    ),
    (&["--no-color"], "NO_COLOR=1 in the environment does it"),
    // PM2's `list`.
    (
        &["-m", "--mini-list"],
        "the table fits itself to the terminal; `supervisorctl status --json` is for scripts",
    ),
    // PM2's `logs`.
    (
        &["--highlight"],
        "--grep WORD prints only the lines that have it; to mark it in all of them: supervisorctl logs NAME | \
         grep --color=always --line-buffered -E 'WORD|$'",
    ),
    (
        &["--format"],
        "lines are printed as the app wrote them; --timestamps adds their times, --json gives all their parts, \
         --raw leaves out the names too",
    ),
];
