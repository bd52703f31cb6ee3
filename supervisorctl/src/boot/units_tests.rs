//! The texts as they are, and their quoting read back by systemd's rules.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use proptest::prelude::*;

use super::*;
use crate::boot::setup::fixture;
use crate::output::Style;

/// Reads a word as systemd.syntax(7) and systemd.unit(5) say: quotes, backslashes, specifiers.
fn read(word: &str) -> Option<String> {
    let inner = word.strip_prefix('"')?;
    let mut text = String::new();
    let mut chars = inner.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(match chars.next()? {
                c @ ('"' | '\\' | '\'') => c,
                // Anything else would mean another character.
                _ => return None,
            }),
            '%' => text.push(chars.next().filter(|&c| c == '%')?),
            c => text.push(c),
        }
    }
}

fn line<'a>(text: &'a str, key: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(key));
    let found = lines.next().expect("it is there");
    assert_eq!(lines.next(), None, "{key} once");
    found
}

fn text(units: &[Unit]) -> String {
    let units = units
        .iter()
        .map(|unit| format!("==> {}\n{}", unit.name, unit.text));
    units.collect::<Vec<_>>().join("\n")
}

#[test]
fn of_the_machine() {
    let setup = fixture(Scope::System);
    insta::assert_snapshot!(text(&of(&setup).unwrap()));
}

#[test]
fn of_a_user() {
    let mut setup = fixture(Scope::User);
    setup.supervisor = "/home/al ice/.local/bin/supervisor".into();
    setup.variables = vec![
        ("SUPERVISOR_HOME", "/home/al ice/100%/$HOME \"x\\y'".into()),
        ("PATH", "/home/al ice/.nvm/bin:/usr/bin".into()),
    ];
    insta::assert_snapshot!(text(&of(&setup).unwrap()));
}

#[test]
fn what_a_unit_cannot_hold_is_refused() {
    let mut told = String::new();
    let mut refuse = |program: &str, home: OsString| {
        let mut setup = fixture(Scope::System);
        setup.supervisor = program.into();
        setup.variables = vec![("SUPERVISOR_HOME", home)];
        told.push_str(&of(&setup).unwrap_err().render(Style::Plain));
    };
    refuse("/opt/a\"b/supervisor", "/srv".into());
    refuse("/opt/a'b/supervisor", "/srv".into());
    refuse("/opt/a\\b/supervisor", "/srv".into());
    refuse("/opt/a\nb/supervisor", "/srv".into());
    refuse("/opt/supervisor", "/srv/a\nExecStart=/bin/evil".into());
    refuse("/opt/supervisor", "/srv/\u{7f}".into());
    refuse("/opt/supervisor", OsString::from_vec(b"/srv/\xff".to_vec()));
    insta::assert_snapshot!(told);
}

proptest! {
    #[test]
    fn every_path_is_exact_or_refused(
        home in "/(\\PC|[ \"'%$\\\\;#:@=-]){0,40}",
        program in "/(\\PC|[ \"'%$\\\\;#:@=-]){0,40}",
    ) {
        let mut setup = fixture(Scope::System);
        setup.supervisor = program.clone().into();
        setup.folders = [home.clone().into(), home.clone().into()];
        setup.variables = vec![("SUPERVISOR_HOME", home.clone().into())];
        match of(&setup) {
            Ok([_, daemon]) => {
                let start = line(&daemon.text, "ExecStart=").strip_prefix(':').unwrap();
                prop_assert_eq!(read(start), Some(program));
                let variable = line(&daemon.text, "Environment=");
                prop_assert_eq!(read(variable), Some(format!("SUPERVISOR_HOME={home}")));
                let mounts = line(&daemon.text, "RequiresMountsFor=");
                let half = &mounts[..(mounts.len() - 1) / 2];
                prop_assert_eq!(read(half), Some(home));
            }
            Err(_) => {
                let bad = |text: &str| text.contains(char::is_control);
                prop_assert!(bad(&home) || bad(&program) || program.contains(['"', '\'', '\\']));
            }
        }
    }
}
