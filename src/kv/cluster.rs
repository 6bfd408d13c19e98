//! A cluster: each command goes to the node that has its key.
//!
//! Who has what is asked of any node that answers, when it is first needed and when an answer, or none, says that it has
//! changed. A key that is elsewhere is followed at once. Each node has its own breaker, so that one that is gone costs its
//! own keys only.
//!
//! It deliberately asks masters only: what was written through one replica of the gateway is read through another.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{ConnectionAddr, ConnectionInfo, Pipeline, Value};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::workers::Home;

use super::{
    Away, BUDGET, Question, Weight, heaviest,
    node::Node,
    slots::{Address, Map, Redirect, slot_of},
};

/// How often a command is sent on: where a slot went, and where one of its keys went meanwhile.
const REDIRECTS_MAX: usize = 2;
/// Nodes that are known at once.
const NODES_MAX: usize = 1000;
/// While what is known of the slots may be wrong, how often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How long a command that has something to go by waits for something newer.
const NEWER_TIME_MAX: Duration = BUDGET.checked_div(2).expect("two is not zero");

/// A cluster.
pub(super) struct Cluster {
    /// How a node is reached, but for its address.
    like: ConnectionInfo,
    /// Those that the configuration names: known whatever the others say.
    seeds: Vec<Address>,
    known: Mutex<Known>,
    /// Held by who asks for the slots: the place in `nodes` of the next to be asked.
    turn: tokio::sync::Mutex<usize>,
    home: Home,
}

#[derive(Default)]
struct Known {
    nodes: BTreeMap<Address, Arc<Node>>,
    map: Option<Arc<Map>>,
    is_doubtful: bool,
    asked: Option<Instant>,
}

/// What one node is asked in one round trip, and for each answer which question it is of: none, if it is of `ASKING`.
struct Part {
    commands: Pipeline,
    questions: Vec<Option<usize>>,
}

/// A question, and who is asked.
struct Open {
    question: usize,
    to: Address,
    is_asking: bool,
}

impl Cluster {
    /// Takes nodes of it, all reached alike; the others that there are will be connected to at `home` too, whoever needs them
    /// first.
    pub(super) fn new(one: Node, others: Vec<Node>, home: Home) -> Self {
        let like = one.place().clone();
        let all = std::iter::once(one).chain(others);
        let nodes: BTreeMap<Address, Arc<Node>> =
            all.map(|node| (address(node.place()), Arc::new(node))).collect();
        let seeds = nodes.keys().cloned().collect();
        let known = Mutex::new(Known { nodes, ..Known::default() });
        Self { like, seeds, known, turn: tokio::sync::Mutex::default(), home }
    }

    /// Gives each command to who has its key, all at once, and returns an answer for each: [`Away`] where there was none by
    /// `end`.
    pub(super) async fn ask(&self, questions: &[Question], end: Instant) -> Vec<Result<Value, Away>> {
        let mut answers = vec![Err(Away); questions.len()];
        let Ok(map) = self.map(end).await else { return answers };
        let mut open = Vec::with_capacity(questions.len());
        for (question, asked) in questions.iter().enumerate() {
            if let Some(to) = map.master(slot_of(&asked.key)) {
                open.push(Open { question, to: to.clone(), is_asking: false });
            }
        }
        for _ in 0..=REDIRECTS_MAX {
            let mut sent_on = Vec::new();
            for (question, asked, answer) in self.round(questions, open, end).await {
                match Redirect::read(&answer, &asked) {
                    Some(Redirect { to, is_asking }) => sent_on.push(Open { question, to, is_asking }),
                    None => answers[question] = Ok(answer),
                }
            }
            if sent_on.iter().any(|open| !open.is_asking) {
                self.doubt();
            }
            open = sent_on;
            if open.is_empty() {
                break;
            }
        }
        if answers.iter().any(Result::is_err) {
            self.doubt();
        }
        answers
    }

    /// Gives a command to whichever node answers.
    ///
    /// # Errors
    /// [`Away`]: none did by `end`.
    pub(super) async fn ask_any(&self, question: &Question, end: Instant) -> Result<Value, Away> {
        let map = self.map(end).await?;
        let mut commands = Pipeline::new();
        commands.add_command(question.command.clone());
        for to in map.master(slot_of(&question.key)).into_iter().chain(map.masters()) {
            let answer = self
                .node(to)?
                .ask(&commands, end, question.weight)
                .await
                .ok()
                .and_then(|mut answers| answers.pop());
            if let Some(answer) = answer {
                return Ok(answer);
            }
            self.doubt();
            if Instant::now() >= end {
                break;
            }
        }
        Err(Away)
    }

    /// Lists all that are known.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        self.known().nodes.values().cloned().collect()
    }

    /// Whether all are left alone for now with what is of such a weight.
    pub(super) fn is_away(&self, weight: Weight) -> bool {
        self.known().nodes.values().all(|node| node.is_away(weight))
    }

    /// Asks every node what it is to be asked, and returns each answer that there is with its question and who gave it.
    async fn round(
        &self,
        questions: &[Question],
        open: Vec<Open>,
        end: Instant,
    ) -> Vec<(usize, Address, Value)> {
        let mut parts: BTreeMap<Address, Part> = BTreeMap::new();
        let mut answers = Vec::with_capacity(open.len());
        for Open { question, to, is_asking } in open {
            let part =
                parts.entry(to).or_insert_with(|| Part { commands: Pipeline::new(), questions: Vec::new() });
            if is_asking {
                part.commands.cmd("ASKING");
                part.questions.push(None);
            }
            part.commands.add_command(questions[question].command.clone());
            part.questions.push(Some(question));
        }
        let (mut asked, weight) = (JoinSet::new(), heaviest(questions));
        for (to, part) in parts {
            let Ok(node) = self.node(&to) else { continue };
            asked.spawn(async move { (to, node.ask(&part.commands, end, weight).await, part.questions) });
        }
        while let Some(done) = asked.join_next().await {
            let Ok((from, Ok(given), questions)) = done else { continue };
            let numbered = questions.into_iter().zip(given);
            answers.extend(numbered.filter_map(|(question, answer)| Some((question?, from.clone(), answer))));
        }
        answers
    }

    /// Says who has what, as far as is known; asks if nothing is, or if it is doubtful.
    async fn map(&self, end: Instant) -> Result<Arc<Map>, Away> {
        let (map, is_due) = {
            let known = self.known();
            let is_due = known.is_doubtful && known.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
            (known.map.clone(), is_due)
        };
        match map {
            Some(map) if !is_due => Ok(map),
            Some(map) => match self.turn.try_lock() {
                Ok(turn) => {
                    Ok(self.newer(turn, end.min(Instant::now() + NEWER_TIME_MAX)).await.unwrap_or(map))
                }
                // Somebody is asking.
                Err(_) => Ok(map),
            },
            None => {
                let turn = timeout_at(end, self.turn.lock()).await.map_err(|_| Away)?;
                let map = self.known().map.clone();
                match map {
                    Some(map) => Ok(map),
                    None => self.newer(turn, end).await,
                }
            }
        }
    }

    /// Asks one node after the other who has what. Each time it begins with another, so that one that does not answer is not
    /// in the way twice.
    async fn newer(
        &self,
        mut turn: tokio::sync::MutexGuard<'_, usize>,
        end: Instant,
    ) -> Result<Arc<Map>, Away> {
        self.known().asked = Some(Instant::now());
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let mut commands = Pipeline::new();
        commands.add_command(slots);
        let nodes = self.nodes();
        for _ in 0..nodes.len() {
            let node = &nodes[*turn % nodes.len()];
            *turn = turn.wrapping_add(1);
            if node.is_away(Weight::Light) {
                continue;
            }
            let answer =
                node.ask(&commands, end, Weight::Light).await.ok().and_then(|mut answers| answers.pop());
            if let Some(map) = answer.and_then(|answer| Map::read(&answer, &address(node.place()))) {
                return Ok(self.learn(map));
            }
            if Instant::now() >= end {
                break;
            }
        }
        Err(Away)
    }

    fn learn(&self, map: Map) -> Arc<Map> {
        let map = Arc::new(map);
        let mut known = self.known();
        let current: HashSet<&Address> = self.seeds.iter().chain(map.masters()).collect();
        known.nodes.retain(|address, _| current.contains(address));
        known.is_doubtful = false;
        known.map = Some(map.clone());
        map
    }

    fn doubt(&self) {
        self.known().is_doubtful = true;
    }

    /// Finds a node, or prepares the link to it.
    fn node(&self, address: &Address) -> Result<Arc<Node>, Away> {
        let mut known = self.known();
        if let Some(node) = known.nodes.get(address) {
            return Ok(node.clone());
        }
        if known.nodes.len() >= NODES_MAX {
            return Err(Away);
        }
        let node = Node::new(self.place(address), None, self.home.clone()).map_err(|error| {
            tracing::warn!(error = error.category(), "a node of the Redis cluster cannot be used");
            Away
        })?;
        let node = Arc::new(node);
        known.nodes.insert(address.clone(), node.clone());
        Ok(node)
    }

    fn place(&self, (host, port): &Address) -> ConnectionInfo {
        let (host, port) = (host.clone(), *port);
        let address = match self.like.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        self.like.clone().set_addr(address)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the address of a server. A cluster has none on Unix sockets.
fn address(place: &ConnectionInfo) -> Address {
    match place.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
        other => (other.to_string(), 0),
    }
}
