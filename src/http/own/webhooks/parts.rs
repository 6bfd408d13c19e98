//! What the paths of these endpoints are made of.

use utoipa::IntoParams;

/// Which endpoint.
#[expect(dead_code, reason = "it describes what is captured by place")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfEndpoint {
    /// Id of the webhook endpoint.
    #[param(example = "we_1", pattern = "^[^/]+$")]
    endpoint: String,
}

/// Which delivery.
#[expect(dead_code, reason = "it describes what is captured by place")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfDelivery {
    /// Id of the delivery, which is that of its event.
    #[param(example = "evt_1", pattern = "^[^/]+$")]
    delivery: String,
}
