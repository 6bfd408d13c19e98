//! A receiver of webhooks for `causeway dev`: verifies what it gets, and prints it.
//!
//! It speaks just enough HTTP/1.1 for a sender that is on the same machine.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::say;
use crate::{
    clock::{Clock as _, SystemClock},
    webhooks::Secret,
};

/// Bytes of a head and of a body.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Connections at once, and how long one may be silent.
const CONNECTIONS_MAX: usize = 32;
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How far a timestamp may be off, in seconds, as the standard has it.
const TOLERANCE_SECS: i64 = 300;

/// A receiver that listens.
pub(super) struct Receiver {
    address: SocketAddr,
    secret: Secret,
    _task: JoinSet<()>,
}

/// One message.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Receiver {
    /// Starts to listen on a free port of loopback.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let (address, secret) = (listener.local_addr()?, Secret::generate());
        let mut task = JoinSet::new();
        task.spawn(listen(listener, secret.clone()));
        Ok(Self { address, secret, _task: task })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it verifies with, as it is shown.
    pub(super) fn secret(&self) -> String {
        self.secret.show()
    }
}

async fn listen(listener: TcpListener, secret: Secret) {
    let mut peers = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while peers.try_join_next().is_some() || peers.len() >= CONNECTIONS_MAX {
            if peers.len() >= CONNECTIONS_MAX {
                peers.join_next().await;
            }
        }
        let secret = secret.clone();
        peers.spawn(async move {
            // Whoever hangs up has heard enough.
            drop(converse(stream, &secret).await);
        });
    }
}

async fn converse(stream: TcpStream, secret: &Secret) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(message) = timeout(SILENCE_MAX, read(&mut stream)).await?? {
        let (line, status) = match verified(&message, secret) {
            Ok(id) => {
                (format!("webhook {id}: signature is right\n  {}\n", text(&message.body)), "204 No Content")
            }
            Err(why) => (format!("webhook refused: {why}\n"), "401 Unauthorized"),
        };
        say(&line)?;
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Message>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if head.len() < HEAD_BYTES_MAX => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && head.is_empty() => return Ok(None),
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(error) => return Err(error),
        }
    }
    let head = text(&head);
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Message { head, body }))
}

/// Verifies as every receiver should: the id, a timestamp of now, and one of the signatures.
fn verified(message: &Message, secret: &Secret) -> Result<String, &'static str> {
    let id = header(&message.head, "webhook-id").ok_or("it has no webhook-id")?;
    let timestamp = header(&message.head, "webhook-timestamp").and_then(|timestamp| timestamp.parse().ok());
    let timestamp: i64 = timestamp.ok_or("it has no webhook-timestamp")?;
    let signatures = header(&message.head, "webhook-signature").ok_or("it has no webhook-signature")?;
    if (SystemClock.now().as_second() - timestamp).abs() > TOLERANCE_SECS {
        return Err("its timestamp is too far off");
    }
    if secret.verifies(id, timestamp, &message.body, signatures) {
        Ok(id.to_owned())
    } else {
        Err("its signature is wrong; create the endpoint with the receiver's secret")
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
