//! The one table from our errors to HTTP status codes.

use http::StatusCode;

use crate::error::{Code, Error, Reason};

/// Key of the `ErrorInfo` metadata that names the limit passed.
pub(super) const LIMIT: &str = "limit";

/// Value of [`LIMIT`] for a URL that is too long.
pub(super) const LIMIT_URL: &str = "urlBytes";

/// Value of [`LIMIT`] for too many header lines.
pub(super) const LIMIT_HEADERS: &str = "headers";

/// Value of [`LIMIT`] for too many header bytes.
pub(super) const LIMIT_HEADER_BYTES: &str = "headerBytes";

/// Finds the HTTP status of an error: by its code as `google.rpc.Code` documents it, except where HTTP has a name of
/// its own for the reason.
pub(super) fn of(error: &Error) -> StatusCode {
    match error.reason() {
        Some(Reason::MethodNotAllowed) => StatusCode::METHOD_NOT_ALLOWED,
        Some(Reason::BodyTooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Some(Reason::UnsupportedMediaType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Some(Reason::IdempotencyMismatch) => StatusCode::UNPROCESSABLE_ENTITY,
        Some(Reason::LimitExceeded) => match limit(error) {
            Some(LIMIT_URL) => StatusCode::URI_TOO_LONG,
            Some(LIMIT_HEADERS | LIMIT_HEADER_BYTES) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => of_code(error.code()),
        },
        _ => of_code(error.code()),
    }
}

/// Returns the number of the HTTP status that an error is answered with.
pub fn of_error(error: &Error) -> u16 {
    of(error).as_u16()
}

fn limit(error: &Error) -> Option<&str> {
    error.metadata().iter().find(|(key, _)| *key == LIMIT).map(|(_, value)| value.as_str())
}

fn of_code(code: Code) -> StatusCode {
    match code {
        // Not registered, but what Google's APIs answer and their clients map back.
        Code::Cancelled => StatusCode::from_u16(499).expect("499 is within 100..=999"),
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
    }
}

/// Names an error as the legacy `error.errors[].reason` does.
pub(super) fn legacy_reason(code: Code) -> &'static str {
    match code {
        Code::Cancelled => "cancelled",
        Code::Unknown | Code::Internal | Code::DataLoss | Code::Unavailable => "backendError",
        Code::InvalidArgument | Code::OutOfRange => "badRequest",
        Code::FailedPrecondition => "failedPrecondition",
        Code::DeadlineExceeded => "deadlineExceeded",
        Code::NotFound => "notFound",
        Code::AlreadyExists => "alreadyExists",
        Code::Aborted => "aborted",
        Code::PermissionDenied => "forbidden",
        Code::ResourceExhausted => "rateLimitExceeded",
        Code::Unimplemented => "notImplemented",
        Code::Unauthenticated => "authError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_status_that_google_documents() {
        let expected = [499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
        for (number, status) in (1..).zip(expected) {
            let code = Code::from_number(number).expect("1 to 16 are codes");
            assert_eq!(of(&Error::upstream(code, "", Vec::new())).as_u16(), status, "{}", code.name());
        }
    }

    #[test]
    fn reasons_that_http_has_a_name_for_win_over_the_code() {
        let cases = [
            (Error::new(Code::InvalidArgument, Reason::MethodNotAllowed, ""), 405),
            (Error::new(Code::InvalidArgument, Reason::BodyTooLarge, ""), 413),
            (Error::new(Code::InvalidArgument, Reason::UnsupportedMediaType, ""), 415),
            (Error::limit("").with_metadata(LIMIT, LIMIT_URL), 414),
            (Error::limit("").with_metadata(LIMIT, LIMIT_HEADERS), 431),
            (Error::limit(""), 400),
        ];
        for (error, status) in cases {
            assert_eq!(of(&error).as_u16(), status, "{error:?}");
        }
    }
}
