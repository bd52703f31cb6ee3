//! `http://HOST[:PORT][/PATH]`: a GET is answered by 2xx or 3xx. Of the answer only its head is read.

use std::pin::pin;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Error, Request};
use hyper_util::rt::TokioIo;
use supervisor_config::HttpUrl;

use super::{Answer, Threads, tcp};

/// A head that is longer is no answer.
const LONGEST_HEAD: usize = 16 * 1024;

const AGENT: &str = concat!("supervisor/", env!("CARGO_PKG_VERSION"));

pub(super) async fn get(url: &HttpUrl, threads: &Threads) -> Answer {
    let request = Request::get(&url.path)
        .header(HOST, url.address.to_string())
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let stream = tcp::connect(&url.address, threads).await?;
    let mut client = http1::Builder::new();
    client.max_buf_size(LONGEST_HEAD);
    let shaken = client.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| why(&error))?;
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It is over; what came before that is still the answer.
        _ = connection => answer.await,
    };
    let status = answer.map_err(|error| why(&error))?.status();
    match status.is_success() || status.is_redirection() {
        true => Ok(()),
        false => Err(format!("it answers {}", status.as_u16())),
    }
}

fn why(error: &Error) -> String {
    if error.is_parse() {
        return "what answers does not speak http".to_owned();
    }
    "the connection ends without an answer".to_owned()
}
