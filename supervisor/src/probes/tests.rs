//! The room against real sockets, files and servers.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use supervisor_core::Name;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};
use tokio::sync::mpsc::Receiver;
use tokio::task::LocalSet;

use super::*;
use crate::engine::inbox::inbox;

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn id(instance: u32) -> ServiceId {
    let app = Name::new("web").expect("a name");
    ServiceId { app, instance }
}

struct Room {
    probes: Probes,
    messages: Receiver<Message>,
}

fn room() -> Room {
    let (inbox, messages) = inbox();
    let probes = Probes::new(inbox);
    Room { probes, messages }
}

impl Room {
    fn look(&mut self, conditions: &[&str]) {
        self.look_for(0, conditions);
    }

    fn look_for(&mut self, instance: u32, conditions: &[&str]) {
        let read = |text: &&str| WaitFor::parse(text).expect("a condition");
        let conditions: Vec<WaitFor> = conditions.iter().map(read).collect();
        self.probes.look(&id(instance), &conditions);
    }

    /// The next that is told; `None`: the task has ended without a word.
    async fn met(&mut self) -> Met {
        let message = timeout(LONG, self.messages.recv()).await;
        match message.expect("it is told in time") {
            Some(Message::Met(met)) => met,
            other => panic!("it told {other:?}"),
        }
    }

    /// Waits until this is told of what is missing.
    async fn told(&self, is: impl Fn(&WaitFor, &str) -> bool) {
        let since = Instant::now();
        loop {
            let (condition, why) = self.probes.missing(&id(0)).expect("it waits");
            if is(condition, why.as_deref().unwrap_or("")) {
                return;
            }
            assert!(since.elapsed() < LONG, "last was {condition}: {why:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What is told first.
    async fn why(&self) -> String {
        self.told(|_, why| !why.is_empty()).await;
        let missing = self.probes.missing(&id(0));
        missing.and_then(|(_, why)| why).expect("it was told")
    }
}

/// An address where nobody listens, a moment ago.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    listener.local_addr().expect("it is bound")
}

/// Answers each connection with these bytes and closes it.
async fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            // Whatever it asks; one that goes away is no failure of the server.
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_port_that_is_late() {
    let address = nobody().await;
    let mut room = room();
    room.look(&[&format!("tcp:{address}")]);
    assert_eq!(room.why().await, "connection refused");
    let _listener = TcpListener::bind(address).await.expect("still free");
    let met = room.met().await;
    assert!(room.probes.is_current(&met));
    assert_eq!(met.id, id(0));
    room.probes.stop(&id(0));
    assert!(!room.probes.is_current(&met));
}

#[tokio::test]
async fn a_socket_and_a_file_that_are_late() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (socket, file) = (path("x.sock"), path("there"));
    let mut room = room();
    room.look(&[&format!("unix:{socket}"), &format!("file:{file}")]);
    assert_eq!(room.why().await, "it is not there");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let file_is_not =
        |it: &WaitFor, why: &str| matches!(it, WaitFor::File(_)) && why == "it is not there";
    room.told(file_is_not).await;
    drop(listener);
    room.told(|_, why| why == "connection refused").await;
    std::fs::remove_file(&socket).expect("it was there");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    room.told(file_is_not).await;
    std::fs::write(&file, "").expect("a file");
    room.met().await;
}

#[tokio::test]
async fn a_server_answers_well_with_2xx_and_3xx_alone() {
    let none = "HTTP/1.1 204 No Content\r\n\r\n";
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 9\r\n\r\n";
    // The body never comes to its end.
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let old = "HTTP/1.0 200 OK\r\n\r\nhello";
    for answer in [none, moved, endless, old] {
        let address = server(answer).await;
        let mut room = room();
        room.look(&[&format!("http://{address}/health?deep=1")]);
        room.met().await;
    }
    for (answer, expected) in [
        (
            "HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n",
            "it answers 503",
        ),
        ("HTTP/1.1 404 No\r\n\r\n", "it answers 404"),
        (
            "220 mail.example ESMTP\r\n",
            "what answers does not speak http",
        ),
        ("", "the connection ends without an answer"),
    ] {
        let address = server(answer).await;
        let mut room = room();
        room.look(&[&format!("http://{address}")]);
        assert_eq!(room.why().await, expected);
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let head: &str = Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(1 << 20)).into());
    let address = server(head).await;
    let mut room = room();
    room.look(&[&format!("http://{address}")]);
    assert_eq!(room.why().await, "what answers does not speak http");
}

#[tokio::test]
async fn who_takes_a_connection_and_says_nothing_has_two_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let mut room = room();
    let since = Instant::now();
    room.look(&[&format!("tcp:{address}"), &format!("http://{address}")]);
    assert_eq!(room.why().await, SILENT);
    let took = since.elapsed();
    assert!(took >= PATIENCE, "{took:?}");
    let (condition, _) = room.probes.missing(&id(0)).expect("it waits");
    assert_eq!(condition.to_string(), format!("http://{address}/"));
}

#[tokio::test]
async fn names_are_looked_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("it is bound").port();
    let mut room = room();
    room.look(&[&format!("tcp:localhost:{port}")]);
    room.met().await;
    room.look(&[&format!("tcp:nobody.invalid:{port}")]);
    let why = room.why().await;
    // What exactly depends on who is asked for names here, if anybody.
    assert!(why.contains("name") || why == SILENT, "{why}");
}

#[tokio::test]
async fn a_connection_to_itself_is_nobody() {
    let address = nobody().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(address).expect("still free");
    let stream = socket.connect(address).await.expect("it meets itself");
    assert!(tcp::is_own_echo(&stream));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let other = TcpStream::connect(listener.local_addr().expect("it is bound")).await;
    assert!(!tcp::is_own_echo(&other.expect("somebody listens")));
}

#[tokio::test]
async fn who_waits_for_something_else_by_now_is_not_told_of_the_old() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let there = listener.local_addr().expect("it is bound");
    let mut room = room();
    room.look(&[&format!("tcp:{there}")]);
    let old = room.met().await;
    room.look(&[&format!("tcp:{}", nobody().await)]);
    assert!(!room.probes.is_current(&old));
    room.why().await;
    room.look(&[&format!("tcp:{there}")]);
    let new = room.met().await;
    assert!(room.probes.is_current(&new));
    // The same again is under way, or was told: nothing changes.
    room.look(&[&format!("tcp:{there}")]);
    assert!(room.probes.is_current(&new));
    // And nothing is looked for any more.
    room.probes.stop(&id(0));
    assert!(room.probes.missing(&id(0)).is_none());
    drop(room.probes);
    let ended = timeout(LONG, room.messages.recv()).await;
    assert!(matches!(ended, Ok(None)), "a task goes on: {ended:?}");
}

#[tokio::test]
async fn so_many_look_at_the_same_time_and_no_more() {
    LocalSet::new()
        .run_until(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
            let address = listener.local_addr().expect("it is bound");
            let accepted = Rc::new(Cell::new(0));
            let count = Rc::clone(&accepted);
            tokio::task::spawn_local(async move {
                let mut open = Vec::new();
                loop {
                    let (stream, from) = listener.accept().await.expect("a connection");
                    open.push(stream);
                    count.set(count.get() + 1);
                    if from.ip() != std::net::Ipv4Addr::LOCALHOST {
                        return; // the one that comes after all others
                    }
                }
            });
            let mut room = room();
            for instance in 0..2 * LOOKS {
                let instance = u32::try_from(instance).expect("small");
                room.look_for(instance, &[&format!("http://{address}")]);
            }
            let since = Instant::now();
            while accepted.get() < LOOKS {
                assert!(since.elapsed() < PATIENCE, "{} look", accepted.get());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let last = TcpSocket::new_v4().expect("a socket");
            last.bind("127.0.0.2:0".parse().expect("an address"))
                .expect("loopback");
            let _last = last.connect(address).await.expect("somebody listens");
            while accepted.get() == LOOKS {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(accepted.get(), LOOKS + 1, "all but the last are looks");
        })
        .await;
}
