//! Whatever a peer sends: it is a message, or it is refused, and nothing else happens.

use proptest::prelude::*;
use supervisor_protocol::frame::{Decoder, encode};
use supervisor_protocol::{Act, Envelope, Reply, Request, Selected};

/// Every kind of request, and the replies that the golden files show.
fn messages() -> Vec<Vec<u8>> {
    let selected = Selected {
        name: "api".into(),
        instance: 0,
        run: 7,
    };
    let acts = [
        Act::Stop,
        Act::Signal("SIGHUP".into()),
        Act::Send("line".into()),
    ];
    let acts = acts.map(|act| Request::Act {
        act,
        on: vec![selected.clone()],
        wait: true,
    });
    let requests = [
        Request::Status {
            targets: vec!["api".into()],
            usage: true,
        },
        Request::Up {
            file: Some("/srv/supervisor.toml".into()),
            dry_run: false,
            wait: true,
        },
        Request::Add {
            text: "[app.api]\ncommand = 'x'\n".into(),
            directory: "/srv".into(),
            path: None,
            wait: true,
        },
        Request::DaemonStop,
    ];
    let requests = requests.into_iter().chain(acts).map(Envelope::new);
    let requests = requests.map(|request| serde_json::to_vec(&request).expect("JSON"));
    let replies = include_str!("snapshots/golden__replies.snap");
    let replies = replies.lines().filter(|line| line.starts_with(['{', '"']));
    requests
        .chain(replies.map(|line| line.as_bytes().to_vec()))
        .collect()
}

fn read(bytes: &[u8]) {
    if let Ok(request) = Envelope::read(bytes) {
        let again = serde_json::to_vec(&Envelope::new(request.clone())).expect("JSON");
        assert_eq!(Envelope::read(&again), Ok(request));
    }
    let _read = serde_json::from_slice::<Reply>(bytes);
}

#[test]
fn the_messages_are_what_they_are_taken_for() {
    let all = messages();
    let requests = all.iter().filter(|bytes| Envelope::read(bytes).is_ok());
    assert_eq!(requests.count(), 7);
    let replies = all
        .iter()
        .filter(|b| serde_json::from_slice::<Reply>(b).is_ok());
    assert!(replies.count() > 5);
}

proptest! {
    #[test]
    fn any_bytes_are_read_in_peace(bytes in any::<Vec<u8>>()) {
        read(&bytes);
    }

    #[test]
    fn any_change_of_a_message_is_read_in_peace(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 0..6usize,
        piece in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..5),
            prop::sample::select(vec!["null", "-1", "{}", "[[[[", "1e999", "\"\\ud800\""])
                .prop_map(|text| text.as_bytes().to_vec()),
        ],
    ) {
        let all = messages();
        let mut bytes = which.get(&all).clone();
        let at = at.index(bytes.len() + 1);
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, piece);
        read(&bytes);
    }

    #[test]
    fn a_stream_with_a_changed_byte_gives_frames_or_ends(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let values = ["one", "two", "three"];
        let mut stream: Vec<u8> = values.iter().flat_map(|v| encode(v).expect("short")).collect();
        let at = at.index(stream.len());
        stream[at] = byte;
        let mut decoder = Decoder::new();
        decoder.push(&stream);
        let mut taken = 0;
        while let Ok(Some(frame)) = decoder.next_frame() {
            taken += frame.len() + 4;
            read(frame);
        }
        prop_assert!(taken <= stream.len());
    }
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let deep = "[".repeat(1 << 19);
    read(deep.as_bytes());
    read(format!("{{\"v\":1,\"request\":{deep}").as_bytes());
}
