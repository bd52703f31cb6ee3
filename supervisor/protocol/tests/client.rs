//! The client against a daemon of our own making, which dies and misbehaves on command.

use std::fs::File;
use std::io::{IoSlice, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use supervisor_protocol::client::{
    CallError, Client, ConnectError, Incoming, ReceiveError, Session,
};
use supervisor_protocol::frame::{Decoder, encode};
use supervisor_protocol::{
    Act, Envelope, Failure, FailureKind, LogFile, LogFormat, Logs, Paths, Reply, Request, Stream,
};

fn listen(home: &Path) -> (Paths, UnixListener) {
    let paths = Paths::below(home);
    std::fs::create_dir(&paths.run).unwrap();
    let listener = UnixListener::bind(&paths.sockets[0]).unwrap();
    (paths, listener)
}

/// Reads one request.
fn request(stream: &mut UnixStream) -> Option<Request> {
    let mut decoder = Decoder::new();
    let mut bytes = [0; 512];
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return Some(Envelope::read(frame).unwrap());
        }
        match stream.read(&mut bytes).unwrap() {
            0 => return None,
            length => decoder.push(&bytes[..length]),
        }
    }
}

fn send(stream: &mut UnixStream, replies: &[Reply]) {
    for reply in replies {
        stream.write_all(&encode(reply).unwrap()).unwrap();
    }
}

/// Serves as many connections as there are scripts, each with its script.
fn serve(
    listener: UnixListener,
    scripts: Vec<Box<dyn FnOnce(UnixStream) + Send>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for script in scripts {
            script(listener.accept().unwrap().0);
        }
    })
}

fn status() -> Request {
    Request::Status {
        usage: false,
        targets: Vec::new(),
    }
}

fn count_calls(session: &mut Session, request: &Request) -> Result<(u32, u32), CallError> {
    let (mut replies, mut again) = (0, 0);
    session.call(request, |incoming| {
        match incoming {
            Incoming::Reply(..) => replies += 1,
            Incoming::Again => again += 1,
        }
        Ok::<(), CallError>(())
    })?;
    Ok((replies, again))
}

#[test]
fn two_requests_on_one_connection() {
    let home = tempfile::tempdir().unwrap();
    let (paths, listener) = listen(home.path());
    let daemon = serve(
        listener,
        vec![Box::new(|mut stream| {
            assert_eq!(request(&mut stream), Some(status()));
            send(
                &mut stream,
                &[Reply::Services(vec![]), Reply::Services(vec![]), Reply::End],
            );
            assert_eq!(request(&mut stream), Some(Request::DaemonStatus));
            let failure = Failure::new(FailureKind::Denied, "you may not");
            send(&mut stream, &[Reply::Error(failure)]);
            assert_eq!(request(&mut stream), None);
        })],
    );
    let mut session = Session::open(&paths).unwrap();
    assert_eq!(count_calls(&mut session, &status()).unwrap(), (2, 0));
    match count_calls(&mut session, &Request::DaemonStatus).unwrap_err() {
        CallError::Refused(failure) => assert_eq!(failure.kind, FailureKind::Denied),
        other => panic!("{other:?}"),
    }
    drop(session);
    daemon.join().unwrap();
}

#[test]
fn the_same_request_is_sent_again_when_the_engine_dies() {
    let home = tempfile::tempdir().unwrap();
    let (paths, listener) = listen(home.path());
    let half = |mut stream: UnixStream| {
        assert_eq!(request(&mut stream), Some(status()));
        send(&mut stream, &[Reply::Services(vec![])]);
        let rest = encode(&Reply::End).unwrap();
        stream.write_all(&rest[..rest.len() / 2]).unwrap();
    };
    let daemon = serve(
        listener,
        vec![
            Box::new(drop),
            Box::new(half),
            Box::new(|mut stream| {
                assert_eq!(request(&mut stream), Some(status()));
                send(&mut stream, &[Reply::Services(vec![]), Reply::End]);
            }),
        ],
    );
    let mut session = Session::open(&paths).unwrap();
    assert_eq!(count_calls(&mut session, &status()).unwrap(), (2, 2));
    daemon.join().unwrap();
}

#[test]
fn what_must_not_be_done_twice_is_not_sent_twice() {
    let home = tempfile::tempdir().unwrap();
    let (paths, listener) = listen(home.path());
    let line = Request::Act {
        act: Act::Send("reload".into()),
        on: Vec::new(),
        wait: true,
    };
    let expected = line.clone();
    let daemon = serve(
        listener,
        vec![Box::new(move |mut stream| {
            assert_eq!(request(&mut stream), Some(expected));
        })],
    );
    let mut session = Session::open(&paths).unwrap();
    let error = count_calls(&mut session, &line).unwrap_err();
    assert!(matches!(error, CallError::Unknown), "{error:?}");
    daemon.join().unwrap();
}

#[test]
fn a_connection_that_always_breaks_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let (paths, listener) = listen(home.path());
    let daemon = thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            if request(&mut stream) == Some(Request::DaemonStop) {
                return;
            }
        }
    });
    let mut session = Session::open(&paths)
        .unwrap()
        .patience(Duration::from_millis(200));
    let began = Instant::now();
    let error = count_calls(&mut session, &status()).unwrap_err();
    assert!(
        matches!(error, CallError::KeepsBreaking { times: 2.., .. }),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    Client::connect(&paths)
        .unwrap()
        .send(&Request::DaemonStop)
        .unwrap();
    daemon.join().unwrap();
}

#[test]
fn a_keeper_that_comes_back_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let (paths, listener) = listen(home.path());
    let mut session = Session::open(&paths).unwrap();
    drop(listener.accept().unwrap());
    drop(listener);
    std::fs::remove_file(&paths.sockets[0]).unwrap();
    let socket = paths.sockets[0].clone();
    let (broken, is_broken) = std::sync::mpsc::channel();
    let daemon = thread::spawn(move || {
        is_broken.recv().unwrap();
        let (mut stream, _) = UnixListener::bind(socket).unwrap().accept().unwrap();
        assert_eq!(request(&mut stream), Some(status()));
        send(&mut stream, &[Reply::Services(vec![]), Reply::End]);
    });
    let mut replies = 0;
    session
        .call(&status(), |incoming| {
            match incoming {
                Incoming::Reply(..) => replies += 1,
                Incoming::Again => broken.send(()).unwrap(),
            }
            Ok::<(), CallError>(())
        })
        .unwrap();
    assert_eq!(replies, 1);
    daemon.join().unwrap();
}

#[test]
fn one_that_does_not_come_back_is_no_daemon() {
    for (request, waited) in [(status(), true), (Request::DaemonStop, false)] {
        let home = tempfile::tempdir().unwrap();
        let (paths, listener) = listen(home.path());
        let patience = Duration::from_millis(300);
        let mut session = Session::open(&paths).unwrap().patience(patience);
        drop(listener.accept().unwrap());
        drop(listener);
        let began = Instant::now();
        let error = count_calls(&mut session, &request).unwrap_err();
        assert!(
            matches!(error, CallError::Connect(ConnectError::NoDaemon { .. })),
            "{error:?}"
        );
        assert_eq!(began.elapsed() >= patience, waited);
    }
}

#[test]
fn a_daemon_that_never_answers_is_an_error_that_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (paths, _listener) = listen(home.path());
    let mut session = Session::open(&paths)
        .unwrap()
        .patience(Duration::from_millis(100));
    let error = count_calls(&mut session, &status()).unwrap_err();
    assert!(
        matches!(error, CallError::Receive(ReceiveError::Silent(_))),
        "{error:?}"
    );
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[test]
fn each_way_of_having_no_connection_has_its_name() {
    let home = tempfile::tempdir().unwrap();
    let mut paths = Paths::below(home.path());
    let connect = |paths: &Paths| Client::connect(paths).map(drop).unwrap_err();
    assert!(matches!(connect(&paths), ConnectError::NoDaemon { .. }));

    std::fs::create_dir(&paths.run).unwrap();
    drop(UnixListener::bind(&paths.sockets[0]).unwrap());
    assert!(
        matches!(connect(&paths), ConnectError::NoDaemon { .. }),
        "a socket left behind"
    );

    let second = home.path().join("second.sock");
    let _listener = UnixListener::bind(&second).unwrap();
    paths.sockets.push(second);
    Client::connect(&paths).expect("the second socket is tried");

    paths.sockets = vec![home.path().join("x".repeat(108))];
    assert!(matches!(connect(&paths), ConnectError::TooLong { .. }));

    paths.sockets = vec![home.path().join("not-a-socket/s")];
    File::create(home.path().join("not-a-socket")).unwrap();
    assert!(matches!(connect(&paths), ConnectError::Io { .. }));
}

#[test]
fn a_socket_of_somebody_else_is_denied() {
    let home = tempfile::tempdir().unwrap();
    let (paths, _listener) = listen(home.path());
    let closed = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(&paths.run, closed).unwrap();
    let result = Client::connect(&paths).map(drop);
    std::fs::set_permissions(&paths.run, std::fs::Permissions::from_mode(0o700)).unwrap();
    if nix::unistd::Uid::effective().is_root() {
        assert!(result.is_ok(), "modes do not bind root");
    } else {
        assert!(matches!(result, Err(ConnectError::Denied { .. })));
    }
}

/// A `Logs` frame about `count` files, with the descriptors of `sent`.
fn send_logs(stream: &UnixStream, count: usize, sent: &[File]) {
    let file = |_| LogFile {
        name: "api".into(),
        instance: 0,
        stream: Stream::Out,
        path: "/x".into(),
        number: 0,
        compressed: false,
        index: false,
        watch: None,
        format: LogFormat::Raw,
    };
    let logs = Logs {
        inotify: false,
        files: (0..count).map(file).collect(),
    };
    let bytes = encode(&Reply::Logs(logs)).unwrap();
    let numbers: Vec<_> = sent.iter().map(std::os::fd::AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&numbers)];
    let parts = [IoSlice::new(&bytes)];
    let length = sendmsg::<()>(
        stream.as_raw_fd(),
        &parts,
        &control,
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    (&*stream).write_all(&bytes[length..]).unwrap();
}

#[test]
fn descriptors_go_to_the_frame_they_came_with() {
    let home = tempfile::tempdir().unwrap();
    let (paths, listener) = listen(home.path());
    let folder = home.path().to_owned();
    let daemon = serve(
        listener,
        vec![Box::new(move |mut stream| {
            request(&mut stream).unwrap();
            let files: Vec<File> = (0..253)
                .map(|n| {
                    std::fs::write(folder.join(n.to_string()), n.to_string()).unwrap();
                    File::open(folder.join(n.to_string())).unwrap()
                })
                .collect();
            // All of it before the client reads, so that frames meet in one buffer.
            send(&mut stream, &[Reply::Services(vec![])]);
            send_logs(&stream, 2, &files[..2]);
            send_logs(&stream, 1, &files[2..3]);
            send_logs(&stream, 250, &files[3..]);
            send(&mut stream, &[Reply::End]);
        })],
    );
    let mut client = Client::connect(&paths).unwrap();
    client
        .send(&Request::Logs {
            targets: vec![],
            follow: false,
            archives: 0,
        })
        .unwrap();
    daemon.join().unwrap();
    let (mut counts, mut number) = (Vec::new(), 0);
    loop {
        let (reply, descriptors) = client.next(None).unwrap();
        if reply == Reply::End {
            break;
        }
        counts.push(descriptors.len());
        for descriptor in descriptors {
            let flags = nix::fcntl::fcntl(&descriptor, nix::fcntl::FcntlArg::F_GETFD).unwrap();
            assert_eq!(flags, nix::libc::FD_CLOEXEC);
            let mut text = String::new();
            File::from(descriptor).read_to_string(&mut text).unwrap();
            assert_eq!(text, number.to_string());
            number += 1;
        }
    }
    assert_eq!(counts, [0, 2, 1, 250]);
}

#[test]
fn a_missing_descriptor_is_an_error() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    send_logs(&theirs, 2, &[File::open("/dev/null").unwrap()]);
    let error = Client::over(ours).next(None).unwrap_err();
    assert!(matches!(error, ReceiveError::LostDescriptors), "{error:?}");
}

#[test]
fn what_is_not_a_reply_is_not_understood() {
    for bytes in [
        &b"\x04\0\0\0nope"[..],
        b"\x06\0\0\0\"wow!\"",
        b"\xff\xff\xff\xff",
    ] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(bytes).unwrap();
        let error = Client::over(ours).next(None).unwrap_err();
        assert!(
            matches!(error, ReceiveError::Json(_) | ReceiveError::Oversize(_)),
            "{error:?}"
        );
    }
}
