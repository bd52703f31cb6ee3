//! Two programs of different age, and bytes that are no request.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use supervisor_tests::Home;

use crate::untouched::untouched;
use crate::{home, is_clear};

/// A frame: four bytes of length, little-endian, and JSON.
fn frame(json: &str) -> Vec<u8> {
    let length = u32::try_from(json.len()).expect("a short frame");
    [&length.to_le_bytes(), json.as_bytes()].concat()
}

fn read_frame(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut json = vec![0; usize::try_from(u32::from_le_bytes(length)).expect("64 bits")];
    stream.read_exact(&mut json)?;
    String::from_utf8(json).map_err(std::io::Error::other)
}

#[test]
fn a_client_of_another_version() {
    let home = home();
    let before = untouched(&home);
    let ask = |json: &str| {
        let mut stream =
            UnixStream::connect(home.path().join("run/supervisor.sock")).expect("it runs");
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a socket");
        stream.write_all(&frame(json)).expect("it reads");
        let told = read_frame(&mut stream).expect("it answers");
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        told["error"].clone()
    };
    // Of words that only the other version knows, and of words that both know.
    for json in [
        r#"{"v":99,"request":{"of_the_future":{"all":true}}}"#,
        r#"{"v":99,"request":"daemon_stop"}"#,
    ] {
        let error = ask(json);
        assert_eq!(error["kind"], "version", "{error}");
        let message = error["message"].as_str().expect("a sentence");
        assert!(
            message.contains("99") && message.contains("older"),
            "{error}"
        );
        assert!(error["hint"].is_string(), "{error}");
    }
    let error = ask(r#"{"v":0,"request":"daemon_stop"}"#);
    assert_eq!(error["kind"], "version", "{error}");
    for json in ["{}", "[]", "nonsense", r#"{"v":1,"request":"nonsense"}"#] {
        assert_eq!(ask(json)["kind"], "usage", "{json}");
    }
    assert_eq!(untouched(&home), before);
}

#[test]
fn a_daemon_of_another_version() {
    let home = Home::new();
    let run = home.path().join("run");
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&run)
        .expect("our own folder");
    let socket = run.join("supervisor.sock");
    let listener = UnixListener::bind(&socket).expect("a short path");
    // Ends with this test's process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            while read_frame(&mut stream).is_ok() {
                let refusal = r#"{"error":{"kind":"version","message":"the daemon is newer","causes":[],"hint":null}}"#;
                stream.write_all(&frame(refusal)).expect("it reads");
            }
        }
    });
    for words in [
        &["status"][..],
        &["stop", "all"],
        &["restart", "kept"],
        &["daemon", "status"],
    ] {
        let output = home
            .ctl(words)
            .exits(1)
            .says("the daemon is newer")
            .says("--version");
        is_clear(&output);
    }
    fs::remove_file(socket).expect("it was there");
}
