//! Attacks on those who check tokens and keys, each refused, none reaching the upstream, all in the audit log.

use causeway::model::Role;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Gateway, Issuer, Keyring, Publishes, Scripted, Signer, b64, bearer},
    issuer::{House, claims, now},
};

const BOOK: &str = "/v1/shelves/s/books/b";

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

/// A token whose signature is an HMAC with the public key as its secret.
fn confused(public: &[u8], claims: &Value) -> String {
    let message = format!("{}.{}", b64(br#"{"alg":"HS256","kid":"k"}"#), b64(claims.to_string().as_bytes()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public);
    let tag = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", b64(tag.as_ref()))
}

#[tokio::test]
async fn no_forged_token_opens_anything() {
    let (signer, mallory, rsa) = (Signer::ed(), Signer::ed(), Signer::rs());
    let keys = vec![signer.jwk("k"), rsa.jwk("r")];
    let house = House::of(Issuer::start(Publishes::Keys(keys)).await, &[]).await;
    let header = json!({"alg": "EdDSA", "kid": "k"});
    let good = signer.token(&header, &claims());
    assert_eq!(house.show(&good).await.status, 200);
    let calls = house.upstream.calls().len();

    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("three parts") };
    let unsigned = |alg: &str| {
        let head = json!({"alg": alg, "kid": "k"}).to_string();
        format!("{}.{body}.", b64(head.as_bytes()))
    };
    let signed = |alg: &str| {
        let head = json!({"alg": alg, "kid": "k"}).to_string();
        format!("{}.{body}.{signature}", b64(head.as_bytes()))
    };
    let text = claims().to_string();
    let twice = |claim: &str| format!("{{{claim},{}", &text[1..]);
    let x = signer.jwk("k")["x"].as_str().unwrap().to_owned();
    let public = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(&x).unwrap();
    let n = rsa.jwk("r")["n"].as_str().unwrap().to_owned();

    let mut attacks: Vec<(String, String)> = Vec::new();
    let mut attack = |name: &str, token: String| attacks.push((name.to_owned(), token));
    attack("expired", signer.token(&header, &with(|c| c["exp"] = json!(now() - 61))));
    attack("not yet", signer.token(&header, &with(|c| c["nbf"] = json!(now() + 90))));
    attack("from the future", signer.token(&header, &with(|c| c["iat"] = json!(now() + 90))));
    attack("without end", signer.token(&header, &with(|c| drop(c.as_object_mut().unwrap().remove("exp")))));
    attack("with an end in words", signer.token(&header, &with(|c| c["exp"] = json!("tomorrow"))));
    attack("with a negative end", signer.token(&header, &with(|c| c["exp"] = json!(-1))));
    attack(
        "with an end past numbers",
        signer.sign(&header.to_string(), &text.replace("\"exp\":", "\"exp\":1e999,\"x\":")),
    );
    attack("for somebody else", signer.token(&header, &with(|c| c["aud"] = json!("billing"))));
    attack("for a list of others", signer.token(&header, &with(|c| c["aud"] = json!(["billing", "mail"]))));
    attack("for nobody", signer.token(&header, &with(|c| c["aud"] = json!([]))));
    attack("for whom", signer.token(&header, &with(|c| drop(c.as_object_mut().unwrap().remove("aud")))));
    attack(
        "of somebody else",
        signer.token(&header, &with(|c| c["iss"] = json!("https://corp.example.evil"))),
    );
    attack("of several", signer.token(&header, &with(|c| c["iss"] = json!(["https://corp.example", "x"]))));
    attack("of nobody", signer.token(&header, &with(|c| drop(c.as_object_mut().unwrap().remove("iss")))));
    attack("about nobody", signer.token(&header, &with(|c| drop(c.as_object_mut().unwrap().remove("sub")))));
    attack("about nothing", signer.token(&header, &with(|c| c["sub"] = json!(""))));
    attack("about a control character", signer.token(&header, &with(|c| c["sub"] = json!("alice\n"))));
    for alg in ["none", "None", "nOnE", "NONE", ""] {
        attack("unsigned", unsigned(alg));
        attack("signed and called unsigned", signed(alg));
    }
    for alg in ["HS256", "RS256", "ES256", "ES512", "eddsa"] {
        attack("called another algorithm", signed(alg));
    }
    attack("HS256 with the public key", confused(&public, &claims()));
    attack("HS256 with its text", confused(x.as_bytes(), &claims()));
    attack("HS256 with the RSA modulus", confused(n.as_bytes(), &claims()));
    attack("another's signature", mallory.token(&header, &claims()));
    attack(
        "another's key in the token",
        mallory.token(&json!({"alg": "EdDSA", "jwk": mallory.jwk("k")}), &claims()),
    );
    attack(
        "another's key set",
        mallory.token(&json!({"alg": "EdDSA", "jku": "http://127.0.0.1:1/k"}), &claims()),
    );
    attack(
        "another's certificate",
        mallory.token(&json!({"alg": "EdDSA", "x5u": "http://127.0.0.1:1/c"}), &claims()),
    );
    for kid in ["../../../dev/null", "' OR 1=1 --", "unknown", "", "k\u{0}", "r"] {
        attack("another key's id", signer.token(&json!({"alg": "EdDSA", "kid": kid}), &claims()));
    }
    attack("an extension", signer.token(&json!({"alg": "EdDSA", "kid": "k", "crit": ["exp"]}), &claims()));
    attack(
        "a logout token",
        signer.token(&json!({"alg": "EdDSA", "kid": "k", "typ": "logout+jwt"}), &claims()),
    );
    attack("a header twice", signer.sign(r#"{"alg":"EdDSA","alg":"EdDSA","kid":"k"}"#, &text));
    attack("a subject twice", signer.sign(&header.to_string(), &twice(r#""sub":"root""#)));
    attack("an audience twice", signer.sign(&header.to_string(), &twice(r#""aud":"billing""#)));
    attack("an end twice", signer.sign(&header.to_string(), &twice(r#""exp":9999999999"#)));
    attack("no signature", format!("{head}.{body}."));
    attack("two parts", format!("{head}.{body}"));
    attack("four parts", format!("{good}.{signature}"));
    attack("five parts", format!("{good}.a.b"));
    attack("dots", "..".to_owned());
    attack("padding", format!("{head}=.{body}.{signature}"));
    attack("a longer signature", format!("{good}AA"));
    attack("another subject", {
        let other = b64(with(|c| c["sub"] = json!("root")).to_string().as_bytes());
        format!("{head}.{other}.{signature}")
    });
    attack("a long token", format!("{head}.{}.{signature}", "A".repeat(20 * 1024)));
    attack("not a token", "opaque".to_owned());

    for (name, token) in &attacks {
        let refused = house.show(token).await;
        // Whoever shows many wrong ones is told to slow down; here they all come from one address.
        assert!(
            matches!(refused.status.as_u16(), 401 | 429),
            "{name}: {} {}",
            refused.status,
            refused.text()
        );
        assert!(!refused.text().contains(token) || token.len() < 3, "{name}");
    }
    let large = house.show(&format!("{head}.{}.{signature}", "A".repeat(64 * 1024))).await;
    large.refused(431, "LIMIT_EXCEEDED");
    let bearer = bearer(&good);
    for twice in [
        [("authorization", &*bearer), ("authorization", &*bearer)],
        [("authorization", &*bearer), ("authorization", "Basic YTpi")],
    ] {
        house.gateway.send("GET", BOOK, &twice, "").await.refused(401, "UNAUTHENTICATED");
    }
    assert_eq!(house.upstream.calls().len(), calls);
    assert!(house.issuer.asked() <= 2);
    // The one that is good still is, from the same address.
    assert_eq!(house.show(&good).await.status, 200);
    println!("{} attacks", attacks.len());
}

#[tokio::test]
async fn no_wrong_key_opens_anything_and_many_of_them_slow_their_address_down() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let settings = ring.settings();
    let gateway = Gateway::library_with(&upstream, &[&settings[0], &settings[1]]).await;
    let (kept, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    let show = async |key: &str| gateway.send("GET", BOOK, &[("x-goog-api-key", key)], "").await;
    assert_eq!(show(&key).await.status, 200);
    let forged = causeway::identity::Key::generate();
    let mixed = format!("cw_{}{}", kept.id, &forged.expose()[15..]);
    for wrong in [
        forged.expose(),
        &mixed,
        &key[..key.len() - 1],
        &format!("{key}x"),
        &key.to_uppercase(),
        &key.replace("cw_", "CW_"),
        &format!("cw_{}", kept.id),
        "cw_",
        "cw_' OR 1=1 --",
    ] {
        show(wrong).await.refused(401, "UNAUTHENTICATED");
    }
    let mut slowed = 0;
    for _ in 0..200 {
        let refused = show(causeway::identity::Key::generate().expose()).await;
        slowed += u32::from(refused.status == 429);
    }
    assert!(slowed > 50, "{slowed}");
    assert_eq!(show(&key).await.status, 200, "a good one is not held up by its neighbours");
    assert_eq!(upstream.calls().len(), 2);
}

#[tokio::test]
async fn nothing_is_smuggled_upstream() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let settings = ring.settings();
    let gateway = Gateway::library_with(&upstream, &[&settings[0], &settings[1]]).await;
    let (_, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    let given = [
        ("x-goog-api-key", &*key),
        ("x-goog-user-project", "somebody-elses"),
        ("x-goog-request-params", "name=shelves/other"),
        ("x-goog-iam-authority-selector", "root"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-user", "root"),
        ("grpc-timeout", "1H"),
        ("auth-bin", "AAAA"),
        ("x-request-id", &*key),
        ("cookie", "session=1"),
        ("proxy-authorization", "Basic YTpi"),
    ];
    assert_eq!(gateway.send("GET", BOOK, &given, "").await.status, 200);
    let seen = upstream.last().headers;
    assert_eq!(seen["x-goog-request-params"], "name=shelves/s/books/b");
    for name in [
        "x-goog-api-key",
        "x-goog-user-project",
        "x-goog-iam-authority-selector",
        "x-forwarded-for",
        "x-forwarded-user",
        "auth-bin",
        "cookie",
        "proxy-authorization",
        "authorization",
    ] {
        assert!(!seen.contains_key(name), "{name}");
    }
    assert!(!format!("{seen:?}").contains(&key[16..]));
}
