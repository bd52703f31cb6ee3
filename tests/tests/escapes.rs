//! Nothing that an app writes, is called with or has in its environment does anything to the
//! terminal of who looks at it: what arrives at a real terminal is text, tabs, newlines and
//! colours.

use std::fs;

use supervisor_tests::{Home, Rng, programs, pty, testapp, wait_until};

/// Sequences that do something to some terminal.
const EVIL: &[&[u8]] = &[
    b"\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    b"\x1b]52;c;ZXZpbA==\x07",
    b"\x1b]52;c;?\x1b\\",
    b"\x1b]0;title\x07",
    b"\x1b]2;title\x1b\\",
    b"\x1b]4;1;rgb:00/00/00\x07",
    b"\x1b]10;?\x07",
    b"\x1b]1337;File=inline=1:AAAA\x07",
    b"\x1b]777;notify;a;b\x07",
    b"\x1bP$qm\x1b\\",
    b"\x1bP+q544e\x1b\\",
    b"\x1bPq#0;2;0;0;0\x1b\\",
    b"\x1b_Gf=100;AAAA\x1b\\",
    b"\x1b^private\x1b\\",
    b"\x1bXstring\x1b\\",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?25l",
    b"\x1b[?2004h",
    b"\x1b[?1000h",
    b"\x1b[?1006h",
    b"\x1b[2J",
    b"\x1b[3J",
    b"\x1b[H",
    b"\x1b[1;1H",
    b"\x1b[10A",
    b"\x1b[2K",
    b"\x1b[1G",
    b"\x1b[6n",
    b"\x1b[c",
    b"\x1b[>c",
    b"\x1b[21t",
    b"\x1b[8;1;1t",
    b"\x1b[5i",
    b"\x1b[4h",
    b"\x1b[r",
    b"\x1b[100b",
    b"\x1b[!p",
    b"\x1b[?5h",
    b"\x1b[ q",
    b"\x1b[1\"q",
    b"\x1b[=5u",
    b"\x1b[>4;2m",
    b"\x1b[?4m",
    b"\x1b[38;5;1;99999999999999999999m",
    b"\x1b[1$}",
    b"\x1bc",
    b"\x1b7",
    b"\x1b8",
    b"\x1bD",
    b"\x1bM",
    b"\x1bE",
    b"\x1b#8",
    b"\x1b(0",
    b"\x1b)B",
    b"\x1b%G",
    b"\x1b=",
    b"\x1bN",
    b"\x1bZ",
    b"\x1b",
    b"\x1b[",
    b"\x1b[31",
    b"\x1b]52;c;cut",
    b"\x1bPcut",
    b"\x1b\x1b[2J",
    b"\x1b[3\x1b[2J",
    b"\x1b[31;\x072Jm",
    b"\x1b[\x002J",
    b"\x1b\x18[2J",
    b"\x9b2J",
    b"\x9d0;title\x9c",
    b"\x90$qm\x9c",
    b"\x84\x85\x88\x8d\x8e\x8f",
    b"\xc2\x9b2J",
    b"\xc2\x9d0;title\xc2\x9c",
    b"\xc2\x90$qm\xc2\x9c",
    b"\xc2\x85\xc2\x84\xc2\x8d",
    b"\x08\x08\x08over",
    b"over\rwritten",
    b"\x07\x05\x0e\x0f\x11\x13\x7f",
    b"\x0b\x0c\x1a\x1c",
    b"\x00",
    b"\xe2\x80\xae exe.txt",
    b"\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad",
    b"\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9",
    b"\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c",
    b"\xe2\x80\xa8\xe2\x80\xa9",
    b"\xef\xbb\xbf",
    b"\xf3\xa0\x81\x81",
    b"\xff\xfe\x80\xc0\xc1",
    b"\xc0\x9b2J",
    b"\xe0\x82\x9b2J",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x92",
    b"\xc2",
];

/// How a line that is still to be seen is marked.
fn mark(number: usize) -> String {
    format!("<{number:04}>")
}

/// Five hundred lines: each of the sequences, and random pieces of them behind one another.
fn lines() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(52);
    let mut pick = |most: usize| usize::try_from(rng.within(0..most as u64)).expect("few");
    (0..500)
        .map(|number| {
            let mut line = mark(number).into_bytes();
            if let Some(evil) = EVIL.get(number) {
                line.extend_from_slice(evil);
                return line;
            }
            for _ in 0..=pick(3) {
                let evil = EVIL[pick(EVIL.len())];
                let from = pick(evil.len());
                line.extend_from_slice(&evil[from..from + 1 + pick(evil.len() - from)]);
                line.extend_from_slice("ä \u{1b}[1;31mred".as_bytes());
            }
            line
        })
        .collect()
}

/// These bytes without their colours, if they are text, tabs, newlines and colours and nothing else.
fn plain(received: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(received).map_err(|error| error.to_string())?;
    let mut plain = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let shown = || format!("{:?}", rest.chars().take(40).collect::<String>());
        if next == '\u{1b}' {
            rest = after_colour(rest).ok_or_else(shown)?;
            continue;
        }
        let is_allowed = match u32::from(next) {
            0x09 | 0x0A => true,
            0..0x20 | 0x7F..0xA0 => false,
            // Direction marks, overrides and isolates; line and paragraph ends; invisible letters.
            0x61C | 0x200B | 0x200E | 0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF => false,
            0xE0000..=0xE007F => false,
            _ => true,
        };
        if !is_allowed {
            return Err(shown());
        }
        plain.push(next);
        rest = &rest[next.len_utf8()..];
    }
    Ok(plain)
}

/// What comes after a sequence that sets colours, with numbers that mean something.
fn after_colour(text: &str) -> Option<&str> {
    let (numbers, rest) = text.strip_prefix("\u{1b}[")?.split_once('m')?;
    let is_number = |number: &str| number.len() < 5 && number.bytes().all(|b| b.is_ascii_digit());
    (numbers.len() < 64 && numbers.split([';', ':']).all(is_number)).then_some(rest)
}

/// Fails unless these bytes are harmless; gives them without their colours.
#[track_caller]
fn harmless(what: &str, received: &[u8]) -> String {
    plain(received).unwrap_or_else(|wrong| panic!("{what}: {wrong}"))
}

/// What a terminal gets from `supervisorctl` with these words.
fn on_a_terminal(home: &Home, words: &[&str]) -> Vec<u8> {
    let mut command = home.command(&programs::supervisorctl());
    command.args(words);
    pty::received(command)
}

/// An app whose arguments and environment are evil, too, and that wrote all of the lines to both
/// streams.
fn start(home: &Home) {
    let mut bytes = lines().join(&b'\n');
    bytes.push(b'\n');
    fs::write(home.file("evil"), &bytes).expect("the work folder");
    // What TOML and a program's arguments can hold: text without a zero.
    let texts: Vec<String> = EVIL
        .iter()
        .filter_map(|evil| String::from_utf8(evil.to_vec()).ok())
        .filter(|text| !text.contains('\0'))
        .collect();
    let script = format!(
        "exec {} emit {} 100",
        programs::testapp().display(),
        home.text_of("evil")
    );
    let all = serde_json::to_string(&texts.concat()).expect("text");
    let words = serde_json::to_string(&["sh", "-c", &format!("{script} >&2"), "sh"]).expect("text");
    let words = words
        .replace("\"sh\"]", &format!("\"sh\", {all}]"))
        .replace('\u{7f}', "\\u007f");
    let all = all.replace('\u{7f}', "\\u007f");
    let once = "[app.NAME.restart]\npolicy = \"never\"\n";
    let mut config = format!(
        "[app.err]\ncommand = {words}\nenv = {{ EVIL = {all} }}\n{}",
        once.replace("NAME", "err")
    );
    config += &testapp(
        "out",
        &["emit", &home.text_of("evil"), "4096"],
        &once.replace("NAME", "out"),
    );
    home.write("evil.toml", &config);
    home.ctl(&["up", "evil.toml", "--no-wait"]).ok();
    for app in ["out", "err"] {
        let log = home.path().join(format!("logs/{app}/0.{app}.log"));
        wait_until(
            "all of it is written",
            std::time::Duration::from_secs(20),
            || (fs::metadata(&log).ok()?.len() >= bytes.len() as u64).then_some(()),
        );
        home.wait_row(app, "has ended", |row| row["pid"].is_null());
    }
}

#[test]
fn five_hundred_sequences_and_none_arrives_at_a_terminal() {
    let home = Home::new();
    start(&home);
    let all = ["logs", "all", "--no-follow", "-n", "10000"];
    for more in [&[][..], &["--timestamps"], &["--json"], &["--grep", "<0"]] {
        let words = [&all[..], more].concat();
        let seen = harmless(&words.join(" "), &on_a_terminal(&home, &words));
        // The text around them is still there, of every line of both streams.
        for number in 0..500 {
            let count = seen.matches(&mark(number)).count();
            assert!(
                count >= 2,
                "{words:?}: {} is there {count} times",
                mark(number)
            );
        }
    }
    let looks: [&[&str]; 7] = [
        &["status"],
        &["status", "err"],
        &["show", "err"],
        &["show", "out"],
        &["why", "err"],
        &["env", "err"],
        &["status", "--json"],
    ];
    for words in looks {
        let seen = harmless(&words.join(" "), &on_a_terminal(&home, words));
        assert!(!seen.trim().is_empty(), "{words:?} shows nothing");
    }
}

#[test]
fn only_raw_gives_the_bytes_as_they_are() {
    let home = Home::new();
    start(&home);
    let words = [
        "logs",
        "out",
        "--no-follow",
        "-n",
        "10000",
        "--raw",
        "--stream",
        "out",
    ];
    assert_eq!(
        on_a_terminal(&home, &words),
        fs::read(home.file("evil")).expect("it is there")
    );
    // A pipe gets no more than a terminal does.
    let piped = home
        .ctl(&["logs", "out", "--no-follow", "-n", "10000"])
        .ok();
    harmless("piped", piped.stdout.as_bytes());
}

#[test]
fn colours_do_not_run_into_the_next_line() {
    let home = Home::new();
    home.write("red", "\u{1b}[31mred\nplain\n");
    let once = "[app.app.restart]\npolicy = \"never\"\n";
    home.write(
        "red.toml",
        &testapp("app", &["emit", &home.text_of("red"), "99"], once),
    );
    home.ctl(&["up", "red.toml", "--no-wait"]).ok();
    home.wait_row("app", "has ended", |row| row["pid"].is_null());
    let received = on_a_terminal(&home, &["logs", "app", "--no-follow", "--stream", "out"]);
    let text = String::from_utf8(received).expect("text");
    let red = text
        .lines()
        .find(|line| line.contains("red"))
        .expect("the first line");
    let reset = ["\u{1b}[0m", "\u{1b}[m", "\u{1b}[39m"]
        .iter()
        .any(|reset| red.contains(reset));
    assert!(red.contains("\u{1b}[31m") && reset, "{text:?}");
}

#[test]
fn the_check_finds_what_it_looks_for() {
    let missed: Vec<_> = EVIL.iter().filter(|evil| plain(evil).is_ok()).collect();
    assert!(missed.is_empty(), "{missed:?}");
    assert_eq!(
        harmless("", "a\t\u{1b}[1;38:5:3mä\u{1b}[0m\n".as_bytes()),
        "a\tä\n"
    );
}
