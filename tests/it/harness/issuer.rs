//! An issuer of tokens: it publishes keys as it is told, and signs what it is given.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

/// A key that signs.
pub(crate) enum Signer {
    /// Ed25519.
    Ed(Ed25519KeyPair),
    /// P-256.
    Es(Box<EcdsaKeyPair>),
    /// RSA.
    Rs(Box<RsaKeyPair>),
}

impl Signer {
    /// Makes an Ed25519 key.
    pub(crate) fn ed() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        Self::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("it was just made"))
    }

    /// Makes a P-256 key.
    pub(crate) fn es() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("randomness");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("it was just made");
        Self::Es(Box::new(pair))
    }

    /// Takes the RSA key of the tests, which are too short to make one.
    pub(crate) fn rs() -> Self {
        let pair = RsaKeyPair::from_pkcs8(include_bytes!("../fixtures/issuer-rsa.pk8")).expect("it is whole");
        Self::Rs(Box::new(pair))
    }

    /// The algorithm, as tokens name it.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Es(_) => "ES256",
            Self::Rs(_) => "RS256",
        }
    }

    /// The public key, as issuers publish it.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": b64(pair.public_key().as_ref())})
            }
            Self::Es(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(x), "y": b64(y)})
            }
            Self::Rs(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "kid": kid, "alg": "RS256", "n": b64(&public.n), "e": b64(&public.e)})
            }
        }
    }

    /// Makes a token of a header and claims.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.sign(&header.to_string(), &claims.to_string())
    }

    /// Makes a token of texts, which need not be JSON.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Self::Es(pair) => pair.sign(&random, message.as_bytes()).expect("randomness").as_ref().to_vec(),
            Self::Rs(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature)
                    .expect("randomness");
                signature
            }
        };
        format!("{message}.{}", b64(&signature))
    }
}

/// Base64 as tokens have it.
pub(crate) fn b64(bytes: &[u8]) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// What is answered to whoever asks for the keys.
#[derive(Clone)]
pub(crate) enum Publishes {
    /// These keys.
    Keys(Vec<Value>),
    /// A status and nothing else.
    Status(u16),
    /// So many bytes.
    Bytes(usize),
    /// Nothing, for ever.
    Silence,
}

/// A server that publishes keys. Ends when dropped.
pub(crate) struct Issuer {
    address: SocketAddr,
    publishes: Arc<Mutex<Publishes>>,
    asked: Arc<AtomicU32>,
    _tasks: JoinSet<()>,
}

impl Issuer {
    /// Starts to publish.
    pub(crate) async fn start(publishes: Publishes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (publishes, asked) = (Arc::new(Mutex::new(publishes)), Arc::new(AtomicU32::new(0)));
        let (says, count) = (publishes.clone(), asked.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (says, count) = (says.clone(), count.clone());
                connections.spawn(async move {
                    let mut head = [0; 4096];
                    let _read = stream.read(&mut head).await;
                    count.fetch_add(1, Ordering::Relaxed);
                    let publishes = says.lock().expect("no story panics while it holds this").clone();
                    let answer = match publishes {
                        Publishes::Keys(keys) => ok(json!({"keys": keys}).to_string().as_bytes()),
                        Publishes::Status(status) => {
                            format!("HTTP/1.1 {status} X\r\nlocation: /keys\r\ncontent-length: 0\r\n\r\n")
                                .into_bytes()
                        }
                        Publishes::Bytes(count) => ok(&vec![b' '; count]),
                        Publishes::Silence => std::future::pending().await,
                    };
                    let _written = stream.write_all(&answer).await;
                });
            }
        });
        Self { address, publishes, asked, _tasks: tasks }
    }

    /// Publishes something else from now on.
    pub(crate) fn publish(&self, publishes: Publishes) {
        *self.publishes.lock().expect("no story panics while it holds this") = publishes;
    }

    /// How often somebody asked.
    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The setting that makes a gateway believe this issuer.
    pub(crate) fn setting(&self) -> String {
        format!(
            r#"identity.issuers=[{{ name = "corp", issuer = "https://corp.example", audiences = ["causeway", "other"], jwks_url = "http://{}/keys", algorithms = ["EdDSA", "ES256", "RS256"] }}]"#,
            self.address
        )
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}
