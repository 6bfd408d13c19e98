//! The upstreams that the gateway knows without being told: their protos and service YAMLs are in the binary.

/// The compiled protos of the known upstreams and of all that they import, comments included, as a set that
/// [`Pool::load`](super::Pool::load) takes; its name is for messages.
pub const EMBEDDED: (&str, &[u8]) = ("embedded", include_bytes!(concat!(env!("OUT_DIR"), "/causeway.binpb")));

/// The service of operations.
pub(super) const OPERATIONS: &str = "google.longrunning.Operations";
/// Services that many hosts offer, each under paths of its own: bound by the YAML, whatever their annotations say.
pub(super) const MIXINS: &[&str] =
    &[OPERATIONS, "google.cloud.location.Locations", "google.iam.v1.IAMPolicy"];

/// A known upstream.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// Its key in the configuration and in paths.
    pub key: &'static str,
    /// Full names of its own services; mixins come from the YAML.
    pub services: &'static [&'static str],
    /// File name and text of its service YAML.
    pub service_config: (&'static str, &'static str),
    /// Where it is when the configuration gives no endpoint; `None` where everybody runs their own.
    pub endpoint: Option<&'static str>,
}

/// All known upstreams.
pub const BUILTINS: &[Builtin] = &[
    Builtin {
        key: "bigqueryconnection",
        services: &["google.cloud.bigquery.connection.v1.ConnectionService"],
        service_config: (
            "bigqueryconnection_v1.yaml",
            include_str!("../../proto/google/cloud/bigquery/connection/v1/bigqueryconnection_v1.yaml"),
        ),
        endpoint: Some("https://bigqueryconnection.googleapis.com"),
    },
    Builtin {
        key: "datastream",
        services: &["google.cloud.datastream.v1.Datastream"],
        service_config: (
            "datastream_v1.yaml",
            include_str!("../../proto/google/cloud/datastream/v1/datastream_v1.yaml"),
        ),
        endpoint: Some("https://datastream.googleapis.com"),
    },
    Builtin {
        key: "flyte",
        services: &["flyteidl.service.AsyncAgentService", "flyteidl.service.AgentMetadataService"],
        service_config: ("flyte.yaml", include_str!("../../proto/flyteidl/service/flyte.yaml")),
        endpoint: None,
    },
    Builtin {
        key: "spanner",
        services: &[
            "google.spanner.admin.instance.v1.InstanceAdmin",
            "google.spanner.admin.database.v1.DatabaseAdmin",
        ],
        service_config: (
            "spanner_admin_v1.yaml",
            include_str!("../../proto/google/spanner/admin/spanner_admin_v1.yaml"),
        ),
        endpoint: Some("https://spanner.googleapis.com"),
    },
];

impl Builtin {
    /// Finds a known upstream by its key.
    pub fn find(key: &str) -> Option<&'static Self> {
        BUILTINS.iter().find(|builtin| builtin.key == key)
    }
}
