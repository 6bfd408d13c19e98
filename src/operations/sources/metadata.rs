//! What the metadata of an upstream's operation says, whatever its type: the names are those that Google's services share.

use jiff::Timestamp;
use serde_json::Value;

use crate::transcode::{JsonOptions, Transcoder};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::operations) struct Facts {
    pub(in crate::operations) progress: Option<i32>,
    pub(in crate::operations) started_at: Option<i64>,
    pub(in crate::operations) target: Option<String>,
    pub(in crate::operations) cancel_requested: bool,
}

/// Where the name of the resource is, the surest place first.
const TARGETS: [&str; 7] = [
    "/target",
    "/database",
    "/instance/name",
    "/instanceConfig/name",
    "/instancePartition/name",
    "/backup",
    "/name",
];

/// Prints a packed message as JSON; null if it cannot be.
pub(in crate::operations) fn json(transcoder: &Transcoder, any: &[u8]) -> Value {
    let Some(plan) = transcoder.message("google.protobuf.Any").filter(|_| !any.is_empty()) else {
        return Value::Null;
    };
    let mut out = Vec::new();
    match plan.to_json(any, &JsonOptions::default(), &mut out) {
        Ok(_) => serde_json::from_slice(&out).unwrap_or(Value::Null),
        Err(_) => Value::Null,
    }
}

/// Looks through metadata.
pub(in crate::operations) fn facts(metadata: &Value) -> Facts {
    let text = |place: &str| metadata.pointer(place).and_then(Value::as_str).filter(|text| !text.is_empty());
    let time = |place: &str| text(place)?.parse::<Timestamp>().ok().map(Timestamp::as_microsecond);
    let progress = match &metadata["progress"] {
        Value::Array(all) => {
            let percents: Vec<i64> =
                all.iter().map(|one| one["progressPercent"].as_i64().unwrap_or_default()).collect();
            (!percents.is_empty()).then(|| percents.iter().sum::<i64>() / percents.len() as i64)
        }
        Value::Object(one) => Some(one.get("progressPercent").and_then(Value::as_i64).unwrap_or_default()),
        _ => metadata["progressPercent"].as_i64(),
    };
    Facts {
        progress: progress.map(|percent| i32::try_from(percent.clamp(0, 100)).unwrap_or_default()),
        started_at: ["/startTime", "/progress/startTime", "/createTime"].iter().find_map(|place| time(place)),
        target: TARGETS.iter().find_map(|place| text(place)).map(str::to_owned),
        cancel_requested: metadata["requestedCancellation"] == true || !metadata["cancelTime"].is_null(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_names_of_both_systems_are_known() {
        let datastream = facts(
            &json!({"target": "projects/p/x", "createTime": "1970-01-01T00:00:01Z", "requestedCancellation": true}),
        );
        assert_eq!(datastream.target.as_deref(), Some("projects/p/x"));
        assert_eq!((datastream.started_at, datastream.cancel_requested), (Some(1_000_000), true));
        let spanner = facts(&json!({"database": "d", "progress": [{"progressPercent": 50}, {}]}));
        assert_eq!((spanner.progress, spanner.cancel_requested), (Some(25), false));
        assert_eq!(facts(&Value::Null), Facts::default());
    }
}
