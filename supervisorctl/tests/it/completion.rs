//! What a shell gets, and what it does with it.

use std::process::{Command, Stdio};

use supervisor_protocol::{Reply, Request, State};

use crate::fake::{Fake, answer, row};

fn fleet() -> Fake {
    Fake::new(|_, request| match request {
        Request::Status { targets, .. } if targets.is_empty() => {
            let mut rows = vec![
                row(0, "api", 0, State::Running),
                row(1, "web", 0, State::Running),
                row(2, "web", 1, State::Stopped),
            ];
            rows[0].namespace = "shop".into();
            answer([Reply::Services(rows)])
        }
        _ => answer([]),
    })
}

/// What bash offers at the end of a line, in its own process.
fn bash(fake: &Fake, line: &str) -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_supervisorctl"))
        .parent()
        .unwrap();
    let script = format!(
        "source <(supervisorctl completions bash) || exit 9
         COMP_LINE={line:?}; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9; COMP_KEY=9
         read -ra COMP_WORDS <<< \"${{COMP_LINE//:/ : }}\"
         [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
         COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
         spec=$(complete -p supervisorctl); [[ $spec =~ -F\\ ([^ ]+) ]]
         ${{BASH_REMATCH[1]}} supervisorctl \"${{COMP_WORDS[COMP_CWORD]#:}}\" ''
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("SUPERVISOR_HOME", fake.home.path())
        .current_dir(fake.home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (_, out, err) = fake.told(&output);
    // Only what `compopt` says outside of a real completion is expected here.
    let strange = err.lines().find(|line| !line.contains("compopt"));
    assert_eq!(strange, None, "{err}");
    out.lines().map(|word| word.trim_end().to_owned()).collect()
}

#[test]
fn bash_completes_verbs_options_and_live_apps() {
    let fake = fleet();
    assert_eq!(bash(&fake, "supervisorctl resta"), ["restart"]);
    assert_eq!(
        bash(&fake, "supervisorctl restart ")[..4],
        ["api", "web", "shop/", "all"]
    );
    assert_eq!(bash(&fake, "supervisorctl stop api w"), ["web"]);
    // Bash takes words apart at colons, and wants what stands after the last one.
    assert_eq!(bash(&fake, "supervisorctl stop web:"), ["0", "1"]);
    assert_eq!(bash(&fake, "supervisorctl stop api web:1"), ["1"]);
    assert_eq!(bash(&fake, "supervisorctl stop web:1 a"), ["api", "all"]);
    assert_eq!(bash(&fake, "supervisorctl scale a"), ["api", "all"]);
    assert_eq!(bash(&fake, "supervisorctl stop --no-w"), ["--no-wait"]);
    assert_eq!(
        bash(&fake, "supervisorctl daemon rel"),
        ["reload", "reload-logs"]
    );
    std::fs::write(fake.home.path().join("worker.js"), "").unwrap();
    assert_eq!(bash(&fake, "supervisorctl start w"), ["web", "worker.js"]);
}

#[test]
fn without_a_daemon_it_stays_silent() {
    let words = bash(&Fake::absent(), "supervisorctl restart ");
    assert!(words.iter().all(|word| word.starts_with("--")), "{words:?}");
}

#[test]
fn each_shell_gets_its_script_and_the_engine_answers_it() {
    let fake = fleet();
    for (shell, sign) in [
        ("bash", "complete -o"),
        ("zsh", "#compdef supervisorctl"),
        ("fish", "complete --keep-order"),
    ] {
        let (code, script, err) = fake.run(&["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(script.contains(sign), "{shell}: {script}");
        assert!(
            script.contains("SUPERVISORCTL_COMPLETE"),
            "{shell}: {script}"
        );
        let mut ask = fake.command(&["--", "supervisorctl", "stop", "we"]);
        ask.env("SUPERVISORCTL_COMPLETE", shell)
            .env("_CLAP_COMPLETE_INDEX", "2");
        let (code, words, err) = fake.told(&ask.output().unwrap());
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(
            words.starts_with("web") && words.trim().lines().count() == 1,
            "{shell}: {words}"
        );
    }
    assert_eq!(fake.run(&["completions", "tcsh"]).0, 2);
}

#[test]
fn manual_pages() {
    let fake = Fake::absent();
    let (code, page, _) = fake.run(&["man"]);
    assert_eq!(code, 0);
    assert!(page.contains(".TH supervisorctl 1"), "{page}");
    let (_, page, _) = fake.run(&["man", "rm"]);
    assert!(page.contains("supervisorctl\\-delete"), "{page}");
    let (_, page, _) = fake.run(&["man", "daemon", "stop"]);
    assert!(page.contains("supervisorctl\\-daemon\\-stop"), "{page}");
    assert_eq!(fake.run(&["man", "nope"]).0, 2);
}
