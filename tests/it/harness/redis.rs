//! A Redis of a story's own, which may be killed, frozen or filled.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// Names the Redis of the tests, started by `./test`: where there is none, there is no Redis on this machine.
const SERVER: &str = "CAUSEWAY_TEST_REDIS";
/// How long one may take to answer after its start.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// A Redis server. Ends when dropped.
pub(crate) struct Redis {
    address: SocketAddr,
    process: Child,
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Redis {
    /// Starts one on a free port; `None`, with a word, where Redis is not installed.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests should know what was left out")]
    pub(crate) async fn start() -> Option<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "tests are told where the server is by whoever started it"
        )]
        if std::env::var(SERVER).is_err() {
            eprintln!("{SERVER} is not set: not told with Redis");
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let mut redis = Self { address, process: process(address) };
        redis.ready().await;
        Some(redis)
    }

    /// What makes a gateway use it.
    pub(crate) fn setting(&self) -> String {
        format!("redis.url=redis://{}", self.address)
    }

    /// Ends it as a power failure would. It had nothing on disk.
    pub(crate) fn kill(&mut self) {
        // One that is frozen takes no other signal.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }

    /// Starts it again, empty.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.process = process(self.address);
        self.ready().await;
    }

    /// Stops it without closing anything: it takes what is sent, and does not answer.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(done.expect("there is a kill").success());
    }

    /// Gives it a command, on a connection of its own, and returns the beginning of the answer.
    pub(crate) fn tell(&self, command: &str) -> String {
        self.try_tell(command).expect("it answers")
    }

    fn try_tell(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = [0; 65_536];
        let read = stream.read(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    async fn ready(&mut self) {
        let started = Instant::now();
        while self.try_tell("PING").is_none_or(|answer| !answer.starts_with("+PONG")) {
            assert!(started.elapsed() < START_TIME_MAX, "it answers in time");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn process(address: SocketAddr) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &address.port().to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}
