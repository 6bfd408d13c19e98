//! Receivers on real sockets.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderMap;
use standardwebhooks::Webhook;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use crate::webhooks::Secret;

/// How long a story waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a receiver got.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Got {
    pub(super) fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    /// Whether the public library signs it like one of its signatures: unlike a receiver's, the story's clock may be days
    /// ahead.
    pub(super) fn is_signed_with(&self, secret: &Secret) -> bool {
        let text = |name: &str| self.headers[name].to_str().unwrap();
        let timestamp = text("webhook-timestamp").parse().unwrap();
        let signed = Webhook::new(&secret.show()).unwrap().sign(self.id(), timestamp, &self.body).unwrap();
        text("webhook-signature").split(' ').any(|entry| entry == signed)
    }
}

/// Somebody who listens, and answers as told.
pub(super) struct Ear {
    pub(super) address: SocketAddr,
    heard: watch::Sender<Vec<Got>>,
    answer: Arc<Mutex<String>>,
    _task: JoinSet<()>,
}

impl Ear {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, answer) = (watch::Sender::default(), Arc::new(Mutex::new(String::new())));
        let (ears, says) = (heard.clone(), answer.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (ears, says) = (ears.clone(), says.clone());
                peers.spawn(async move { drop(converse(stream, &ears, &says).await) });
            }
        });
        let ear = Self { address, heard, answer, _task: task };
        ear.says(200, "");
        ear
    }

    pub(super) fn says(&self, status: u16, header: &str) {
        let line = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        *self.answer.lock().unwrap() = format!("HTTP/1.1 {status} X\r\n{line}content-length: 2\r\n\r\nhi");
    }

    /// Takes what comes and hangs up.
    pub(super) fn hangs_up(&self) {
        self.answer.lock().unwrap().clear();
    }

    pub(super) fn heard(&self) -> Vec<Got> {
        self.heard.borrow().clone()
    }

    /// Waits until it has heard as many.
    pub(super) async fn hears(&self, count: usize) {
        let mut heard = self.heard.subscribe();
        let enough = heard.wait_for(|heard| heard.len() >= count);
        timeout(PATIENCE, enough).await.expect("it hears as many").unwrap();
    }
}

async fn converse(
    mut stream: TcpStream,
    heard: &watch::Sender<Vec<Got>>,
    answer: &Mutex<String>,
) -> io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let headers: HeaderMap = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        heard.send_modify(|heard| heard.push(Got { headers, body }));
        let answer = answer.lock().unwrap().clone();
        if answer.is_empty() {
            return Ok(());
        }
        stream.write_all(answer.as_bytes()).await?;
    }
}
