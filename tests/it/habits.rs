//! What real clients send and can parse: `google-api-python-client`, GAPIC Python over REST, `google.api_core`, Node's
//! google-gax fallback and npm googleapis, each with its own spelling of the same request.

use serde_json::{Value, json};

use crate::harness::{Answer, Call, Gateway, Scripted};

const CONNECTIONS: &str = "/v1/projects/p/locations/us/connections";
const OPERATION: &str = "/v1/projects/p/locations/us/operations/o";
const OBJECT: &str = "/v1/projects/p/locations/us/streams/s/objects/o";
const ENUMS_AS_NUMBERS: &str = "%24alt=json%3Benum-encoding%3Dint";
const JSON: (&str, &str) = ("content-type", "application/json");

fn play(call: &Call) -> Answer {
    Answer::Message(match call.method.rsplit('.').next().unwrap() {
        "ListConnections" => json!({"connections": [connection()], "nextPageToken": "a/b+c=="}),
        "GetConnection" | "CreateConnection" | "UpdateConnection" => connection(),
        "GetOperation" | "CreateStream" | "UpdateStream" => {
            json!({"name": "projects/p/locations/us/operations/o"})
        }
        "ListOperations" => {
            json!({"operations": [{"name": "projects/p/locations/us/operations/o", "done": true}]})
        }
        _ => json!({}),
    })
}

fn connection() -> Value {
    json!({"name": "projects/1/locations/us/connections/c", "cloudSql": {"type": "POSTGRES", "database": "d"}})
}

async fn google() -> (Scripted, Gateway) {
    let upstream = Scripted::start(play).await;
    let gateway = Gateway::builtin(&upstream).await;
    (upstream, gateway)
}

/// Sends a request and returns what the upstream saw of it.
async fn seen(
    (upstream, gateway): &(Scripted, Gateway),
    (verb, target, headers, body): (&str, &str, &[(&str, &str)], &str),
) -> (String, Value) {
    let response = gateway.send(verb, target, headers, body.to_owned()).await;
    assert_eq!(response.status, 200, "{verb} {target}: {}", response.text());
    let call = upstream.last();
    (call.method.rsplit('.').next().unwrap().to_owned(), call.request)
}

#[tokio::test]
async fn discovery_clients_add_their_parameters_to_everything() {
    let google = google().await;
    let noise = "alt=json&%24.xgafv=2&prettyPrint=false&key=k&quotaUser=q&oauth_token=t&uploadType=media";
    let cases = [
        ("GET", format!("{CONNECTIONS}/c?{noise}"), "", "GetConnection"),
        (
            "POST",
            format!("{CONNECTIONS}?connectionId=c&{noise}"),
            r#"{"cloudSql":{"type":"POSTGRES"}}"#,
            "CreateConnection",
        ),
        ("PATCH", format!("{CONNECTIONS}/c?updateMask=friendlyName&{noise}"), "{}", "UpdateConnection"),
        ("DELETE", format!("{CONNECTIONS}/c?{noise}"), "", "DeleteConnection"),
        ("GET", format!("{OPERATION}?{noise}&fields=name%2Cdone"), "", "GetOperation"),
    ];
    for (verb, target, body, method) in cases {
        assert_eq!(seen(&google, (verb, &target, &[JSON], body)).await.0, method, "{target}");
    }
}

#[tokio::test]
async fn a_plus_is_a_space_and_tokens_come_encoded_or_raw() {
    let google = google().await;
    let list = "/v1/projects/p/locations/us/operations";
    for (query, filter, token) in [
        ("filter=done+%3D+true&pageToken=a%2Fb%2Bc%3D%3D&alt=json", "done = true", "a/b+c=="),
        ("filter=done%20%3D%20true&pageToken=%2B/%3D", "done = true", "+/="),
    ] {
        let (method, request) = seen(&google, ("GET", &format!("{list}?{query}"), &[], "")).await;
        assert_eq!(method, "ListOperations");
        assert_eq!((&request["filter"], &request["pageToken"]), (&json!(filter), &json!(token)));
    }
}

#[tokio::test]
async fn gapic_clients_ask_for_numbers_and_a_page_size_of_zero() {
    let google = google().await;
    for alt in [ENUMS_AS_NUMBERS, "$alt=json%3Benum-encoding=int"] {
        let target = format!("{CONNECTIONS}?pageSize=0&{alt}");
        let response = google.1.send("GET", &target, &[JSON], "").await;
        assert_eq!(response.json()["connections"][0]["cloudSql"]["type"], 1, "{}", response.text());
    }
    assert_eq!(google.0.last().request, json!({"parent": "projects/p/locations/us"}));
}

#[tokio::test]
async fn an_empty_query_may_end_in_a_question_mark() {
    let google = google().await;
    let (_, request) = seen(&google, ("GET", &format!("{OPERATION}?"), &[], "")).await;
    assert_eq!(request, json!({"name": "projects/p/locations/us/operations/o"}));
}

#[tokio::test]
async fn a_long_get_comes_as_a_post_of_a_form() {
    let google = google().await;
    let filter = "x".repeat(20_000);
    let form = format!("filter={filter}+y&pageSize=3&alt=json");
    let headers = [("x-http-method-override", "GET"), ("content-type", "application/x-www-form-urlencoded")];
    let target = "/v1/projects/p/locations/us/operations";
    let (method, request) = seen(&google, ("POST", target, &headers, &form)).await;
    assert_eq!(method, "ListOperations");
    assert_eq!((&request["filter"], &request["pageSize"]), (&json!(format!("{filter} y")), &json!(3)));
    let meant = format!("{target}?$httpMethod=GET");
    let (method, _) = seen(&google, ("POST", &meant, &headers[1..], &form)).await;
    assert_eq!(method, "ListOperations", "whichever way that is said");
    let many = vec!["filter=x"; 300].join("&");
    google.1.send("POST", target, &headers, many).await.refused(400, "LIMIT_EXCEEDED");
}

/// Google's Python client turns the page of a long list by the token in the URL, and repeats the form of the page before.
#[tokio::test]
async fn whoever_turns_the_page_of_a_long_get_names_it_in_the_url() {
    let google = google().await;
    let headers = [("x-http-method-override", "GET"), ("content-type", "application/x-www-form-urlencoded")];
    let target = "/v1/projects/p/locations/us/operations?pageToken=next";
    let (_, request) = seen(&google, ("POST", target, &headers, "filter=f&pageToken=first&pageSize=3")).await;
    assert_eq!((&request["pageToken"], &request["filter"]), (&json!("next"), &json!("f")));
    assert_eq!(request["pageSize"], 3);
}

#[tokio::test]
async fn another_verb_can_be_meant() {
    let google = google().await;
    let patch = [("x-http-method-override", "PATCH"), JSON];
    let target = format!("{CONNECTIONS}/c?updateMask=friendlyName");
    assert_eq!(seen(&google, ("POST", &target, &patch, "{}")).await.0, "UpdateConnection");
    let target = format!("{CONNECTIONS}/c?$httpMethod=DELETE");
    assert_eq!(seen(&google, ("POST", &target, &[], "")).await.0, "DeleteConnection");
}

#[tokio::test]
async fn names_keep_their_literal_characters() {
    let google = google().await;
    for name in ["example.com:p", "a@b", "a~b", "a=b", "a+b", "a.b"] {
        let target = format!("/v1/projects/{name}/locations/us/connections/c");
        let (_, request) = seen(&google, ("GET", &target, &[], "")).await;
        assert_eq!(request["name"], format!("projects/{name}/locations/us/connections/c"));
    }
}

#[tokio::test]
async fn bodyless_requests_come_in_every_dress() {
    let google = google().await;
    let length = ("content-length", "0");
    type Case<'c> = (&'c str, String, &'c [(&'c str, &'c str)], &'c str, &'c str);
    let cases: &[Case<'_>] = &[
        ("GET", OPERATION.to_owned(), &[length], "", "GetOperation"),
        ("GET", OPERATION.to_owned(), &[JSON], "", "GetOperation"),
        ("DELETE", format!("{CONNECTIONS}/c"), &[JSON, length], "", "DeleteConnection"),
        ("POST", format!("{OPERATION}:cancel?alt=json"), &[length], "", "CancelOperation"),
        ("POST", format!("{OPERATION}:cancel"), &[JSON, length], "", "CancelOperation"),
        ("POST", format!("{OPERATION}:cancel"), &[JSON], "{}", "CancelOperation"),
        ("POST", format!("{OBJECT}:startBackfillJob?alt=json"), &[length], "", "StartBackfillJob"),
        ("POST", format!("{OBJECT}:startBackfillJob?{ENUMS_AS_NUMBERS}"), &[JSON], "{}", "StartBackfillJob"),
        ("POST", format!("{CONNECTIONS}/c:getIamPolicy?alt=json"), &[length], "", "GetIamPolicy"),
        ("DELETE", format!("{CONNECTIONS}/c"), &[JSON], " {}\n", "DeleteConnection"),
    ];
    for (verb, target, headers, body, method) in cases {
        assert_eq!(seen(&google, (verb, target, headers, body)).await.0, *method, "{target}");
    }
    let refused = google.1.send("DELETE", &format!("{CONNECTIONS}/c"), &[JSON], r#"{"force":true}"#).await;
    refused.refused(400, "INVALID_FIELD");
}

#[tokio::test]
async fn an_empty_resource_is_an_empty_text_from_node() {
    let google = google().await;
    let target = format!("{CONNECTIONS}/c?updateMask=description");
    let (method, request) = seen(&google, ("PATCH", &target, &[JSON], "\"\"")).await;
    assert_eq!(method, "UpdateConnection");
    assert_eq!(request["connection"], json!({}));
    let refused = google.1.send("PATCH", &target, &[JSON], "\"x\"").await;
    refused.refused(400, "INVALID_FIELD");
}

#[tokio::test]
async fn bodies_are_pretty_printed_with_enums_as_names_or_numbers() {
    let google = google().await;
    for kind in ["1", "\"POSTGRES\""] {
        let body =
            format!("{{\n  \"friendlyName\": \"f\",\n  \"cloudSql\": {{\n    \"type\": {kind}\n  }}\n}}");
        let target = format!("{CONNECTIONS}?connectionId=a+b%2F%C3%A9&{ENUMS_AS_NUMBERS}");
        let (_, request) = seen(&google, ("POST", &target, &[JSON], &body)).await;
        assert_eq!(
            request,
            json!({"parent": "projects/p/locations/us", "connectionId": "a b/é",
                   "connection": {"friendlyName": "f", "cloudSql": {"type": "POSTGRES"}}})
        );
    }
}

#[tokio::test]
async fn masks_come_in_both_spellings_and_bodies_with_output_only_fields() {
    let google = google().await;
    let whole = json!({
        "name": "projects/p/locations/us/connections/c",
        "friendlyName": "new",
        "creationTime": "1700000000000",
        "hasCredential": true,
        "cloudSql": {"database": "d", "type": 1},
    });
    for mask in ["friendlyName%2CcloudSql.database", "friendly_name%2Ccloud_sql.database"] {
        let target = format!("{CONNECTIONS}/c?updateMask={mask}&{ENUMS_AS_NUMBERS}");
        let (_, request) = seen(&google, ("PATCH", &target, &[JSON], &whole.to_string())).await;
        assert_eq!(request["updateMask"], "friendlyName,cloudSql.database");
        assert_eq!(request["name"], "projects/p/locations/us/connections/c");
        assert_eq!(request["connection"]["creationTime"], "1700000000000");
    }
}

/// It was sent, although the mask of a connection is REQUIRED. That of a stream is not: without one all of it is replaced.
#[tokio::test]
async fn an_update_without_a_required_mask_goes_nowhere() {
    let google = google().await;
    let body = r#"{"friendlyName":"f"}"#;
    for target in [format!("{CONNECTIONS}/c"), format!("{CONNECTIONS}/c?updateMask=")] {
        let refused = google.1.send("PATCH", &target, &[JSON], body).await;
        let message = refused.refused(400, "INVALID_FIELD");
        assert!(message.starts_with("updateMask: is required"), "{message}");
        assert_eq!(refused.json()["error"]["details"][1]["fieldViolations"][0]["field"], "updateMask");
    }
    assert!(google.0.calls().is_empty());
    let stream = "/v1/projects/p/locations/us/streams/s";
    let (method, request) = seen(&google, ("PATCH", stream, &[JSON], r#"{"displayName":"d"}"#)).await;
    assert_eq!((method.as_str(), &request["updateMask"]), ("UpdateStream", &Value::Null));
}

#[tokio::test]
async fn an_empty_answer_is_an_empty_object() {
    let google = google().await;
    let response = google.1.send("DELETE", &format!("{CONNECTIONS}/c"), &[], "").await;
    assert_eq!((response.status.as_u16(), response.text().as_str()), (200, "{}"));
}

#[tokio::test]
async fn errors_can_be_read_by_their_clients() {
    let google = google().await;
    let response = google.1.get(&format!("{CONNECTIONS}/c?noSuch=1&%24.xgafv=1")).await;
    response.refused(400, "UNKNOWN_FIELD");
    assert_eq!(response.fields(), ["noSuch"]);
    let error = &response.json()["error"];
    assert_eq!(error["errors"][0]["reason"], "badRequest");
    assert_eq!(error["status"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn every_upstream_is_also_served_under_its_key() {
    let google = google().await;
    let target = "/datastream/v1/projects/p/locations/us/operations/o";
    assert_eq!(seen(&google, ("GET", target, &[], "")).await.0, "GetOperation");
    let target = format!("/bigqueryconnection{CONNECTIONS}/c");
    assert_eq!(seen(&google, ("GET", &target, &[], "")).await.0, "GetConnection");
}

#[tokio::test]
async fn mistakes_in_a_body_are_named() {
    let google = google().await;
    let post = async |body: &str| google.1.post(&format!("{CONNECTIONS}?connectionId=c"), body).await;
    let message = post("{\n  \"friendlyName\": oops\n}").await.refused(400, "INVALID_JSON");
    assert!(message.contains("line 2"), "{message}");
    for (body, reason, field) in [
        (r#"{"cloudSql":{"databas":"d"}}"#, "UNKNOWN_FIELD", "connection.cloudSql.databas"),
        (r#"{"friendlyName":7}"#, "INVALID_FIELD", "connection.friendlyName"),
        (r#"{"creationTime":"99999999999999999999"}"#, "INVALID_FIELD", "connection.creationTime"),
        (r#"{"cloudSql":{"type":"ORACLE"}}"#, "INVALID_FIELD", "connection.cloudSql.type"),
    ] {
        let response = post(body).await;
        response.refused(400, reason);
        assert_eq!(response.fields(), [field], "{body}: {}", response.text());
    }
    let message = post(r#"{"cloudSql":{"databas":"d"}}"#).await.refused(400, "UNKNOWN_FIELD");
    assert!(message.contains("database"), "{message}");
}
