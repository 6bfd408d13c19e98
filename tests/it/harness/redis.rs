//! A Redis of a story's own, which may be killed, frozen or filled, and a cluster of them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// Names the Redis of the tests, started by `./test`: where there is none, there is no Redis on this machine.
const SERVER: &str = "CAUSEWAY_TEST_REDIS";
/// How long one may take to answer after its start.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// Slots of a cluster.
const SLOTS: usize = 16_384;
/// How long a node of a cluster is missed before the others say so, in milliseconds.
const MISSED_AFTER: &str = "1000";

/// A Redis server. Ends when dropped.
pub(crate) struct Redis {
    address: SocketAddr,
    process: Child,
    options: Vec<String>,
    /// Where a node of a cluster keeps what it knows of the others; goes with it.
    folder: Option<PathBuf>,
}

/// Masters of which each has a share of the slots. End when dropped.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
}

/// What a server shows under TLS, and whom it believes: PEM files.
pub(crate) struct Tls {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// Callers show one that this signed, and so do the nodes of a cluster to each other.
    pub(crate) roots: String,
}

impl Tls {
    fn options(&self) -> Vec<String> {
        let port = free_port().port().to_string();
        [
            ("--tls-port", &port),
            ("--tls-cert-file", &self.certificate),
            ("--tls-key-file", &self.key),
            ("--tls-ca-cert-file", &self.roots),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value.clone()])
        .collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Redis {
    /// Starts one on a free port; `None`, with a word, where Redis is not installed.
    pub(crate) async fn start() -> Option<Self> {
        match is_installed() {
            true => Some(Self::with(free_port(), Vec::new(), None).await),
            false => None,
        }
    }

    /// Starts one that speaks TLS on a port of its own, with these options.
    pub(crate) async fn with_tls(tls: &Tls) -> Option<Self> {
        match is_installed() {
            true => Some(Self::with(free_port(), tls.options(), None).await),
            false => None,
        }
    }

    async fn with(address: SocketAddr, options: Vec<String>, folder: Option<PathBuf>) -> Self {
        let mut redis = Self { address, process: process(address, &options), options, folder };
        redis.ready().await;
        redis
    }

    /// What makes a gateway use it.
    pub(crate) fn setting(&self) -> String {
        format!("redis.url={}", self.url())
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The port where it speaks TLS.
    pub(crate) fn tls_port(&self) -> &str {
        self.option("--tls-port")
    }

    fn option(&self, name: &str) -> &str {
        let at = self.options.iter().position(|option| option == name).expect("it was started with it");
        &self.options[at + 1]
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
        self.process = process(self.address, &self.options);
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
        self.says("PING", "+PONG").await;
    }

    /// Waits until the answer to a command has something in it.
    async fn says(&self, command: &str, word: &str) {
        let started = Instant::now();
        while self.try_tell(command).is_none_or(|answer| !answer.contains(word)) {
            assert!(started.elapsed() < START_TIME_MAX, "{command}: {word}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The name by which the others of its cluster know it.
    fn id(&self) -> String {
        let answer = self.tell("CLUSTER MYID");
        answer.lines().nth(1).expect("a string in two lines").to_owned()
    }
}

impl Cluster {
    /// Starts one of so many masters; `None`, with a word, where Redis is not installed.
    pub(crate) async fn start(masters: usize, tls: Option<&Tls>) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let mut nodes: Vec<Redis> = Vec::new();
        for number in 0..masters {
            // The bus has a port of its own: Redis would take one that is 10000 higher, which may be none.
            let (address, bus) = (free_port(), free_port());
            let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{}", address.port()));
            std::fs::create_dir_all(&folder).expect("the target folder is writable");
            let (bus, dir) = (bus.port().to_string(), folder.display().to_string());
            let own = [
                ("--cluster-enabled", "yes"),
                ("--cluster-port", &bus),
                ("--cluster-node-timeout", MISSED_AFTER),
                ("--cluster-announce-hostname", "localhost"),
                ("--tls-cluster", if tls.is_some() { "yes" } else { "no" }),
                // A certificate is for a name.
                ("--cluster-preferred-endpoint-type", if tls.is_some() { "hostname" } else { "ip" }),
                ("--dir", &dir),
            ];
            let own = own.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]);
            let options = own.chain(tls.map(Tls::options).unwrap_or_default()).collect();
            let node = Redis::with(address, options, Some(folder)).await;
            let (first, after) = (SLOTS * number / masters, SLOTS * (number + 1) / masters);
            assert!(node.tell(&format!("CLUSTER ADDSLOTSRANGE {first} {}", after - 1)).starts_with("+OK"));
            if let Some(first) = nodes.first() {
                let bus = first.option("--cluster-port");
                node.tell(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", first.address.port()));
            }
            nodes.push(node);
        }
        let cluster = Self { nodes };
        cluster.is_whole().await;
        Some(cluster)
    }

    /// Waits until every node knows every other, and who has which slots.
    pub(crate) async fn is_whole(&self) {
        for node in &self.nodes {
            node.says("CLUSTER INFO", "cluster_state:ok").await;
            node.says("CLUSTER INFO", &format!("cluster_known_nodes:{}", self.nodes.len())).await;
            node.says("CLUSTER INFO", &format!("cluster_slots_ok:{SLOTS}")).await;
        }
    }

    /// What makes a gateway use it.
    pub(crate) fn setting(&self) -> String {
        format!("redis.url={}", self.url())
    }

    /// Its URL, which names all nodes.
    pub(crate) fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.address.to_string()).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// Lists keys, each with its slot and the place of its node.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<(String, String, usize)> {
        let mut found = Vec::new();
        for (place, node) in self.nodes.iter().enumerate() {
            let answer = node.tell(&format!("KEYS {pattern}"));
            for key in answer.lines().filter(|line| line.starts_with("causeway:")) {
                let slot = node.tell(&format!("CLUSTER KEYSLOT {key}"));
                found.push((key.to_owned(), slot.trim_start_matches(':').trim().to_owned(), place));
            }
        }
        found
    }

    /// Begins to move a slot: its keys are asked for at the old node, which sends on who asks for one that has gone.
    pub(crate) fn begin_to_move(&self, slot: &str, from: usize, to: usize) {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        assert!(to.tell(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", from.id())).starts_with("+OK"));
        assert!(from.tell(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", to.id())).starts_with("+OK"));
    }

    /// Moves the keys of a slot.
    pub(crate) fn move_keys(&self, slot: &str, from: usize, to: usize) {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let keys = from.tell(&format!("CLUSTER GETKEYSINSLOT {slot} 1000"));
        for key in keys.lines().filter(|line| line.starts_with("causeway:")) {
            let moved = from.tell(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", to.address.port()));
            assert!(moved.starts_with("+OK") || moved.starts_with("+NOKEY"), "{moved}");
        }
    }

    /// Gives a slot whose keys have moved to its new node.
    pub(crate) fn end_to_move(&self, slot: &str, from: usize, to: usize) {
        let id = self.nodes[to].id();
        for node in [&self.nodes[to], &self.nodes[from]] {
            let done = node.tell(&format!("CLUSTER SETSLOT {slot} NODE {id}"));
            assert!(done.starts_with("+OK"), "{done}");
        }
    }
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests should know what was left out")]
#[expect(clippy::disallowed_methods, reason = "tests are told where the server is by whoever started it")]
fn is_installed() -> bool {
    let is_installed = std::env::var(SERVER).is_ok();
    if !is_installed {
        eprintln!("{SERVER} is not set: not told with Redis");
    }
    is_installed
}

fn free_port() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    free.local_addr().expect("it is bound")
}

fn process(address: SocketAddr, options: &[String]) -> Child {
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
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}
