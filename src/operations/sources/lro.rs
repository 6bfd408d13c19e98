//! `google.longrunning.Operation`, of whichever service.

use prost::Message as _;

use super::{Ask, Listed, Source, decode, metadata, path};
use crate::{
    error::Result,
    model::Operation,
    operations::{Observation, Sighting},
    pb::google::longrunning::{self, operation},
    transcode::Transcoder,
};

/// Operations on one page of a list. Services that allow less give less.
const PAGE_SIZE: i32 = 1000;
/// What asks for open ones only; it is part of the standard list filter.
const OPEN: &str = "done:false";
/// What `google.rpc.Code` calls CANCELLED.
const CANCELLED: i32 = 1;

/// Google LROs.
pub struct Lro {
    transcoder: Transcoder,
}

impl Lro {
    pub(super) fn new(transcoder: Transcoder) -> Self {
        Self { transcoder }
    }
}

impl Source for Lro {
    fn look(&self, operation: &Operation) -> Result<Ask> {
        let name = operation.upstream_name.clone();
        Ok(Ask {
            path: path("/google.longrunning.Operations/GetOperation"),
            message: longrunning::GetOperationRequest { name: name.clone() }.encode_to_vec().into(),
            routing: Some(("name", name)),
        })
    }

    fn read(&self, before: &Operation, message: &[u8]) -> Result<Sighting> {
        let it: longrunning::Operation = decode(message)?;
        let mut sighting = Sighting::of(Observation::Running);
        let packed = it.metadata.as_ref().map(prost::Message::encode_to_vec);
        if let Some(packed) =
            packed.filter(|packed| *packed != before.metadata || before.started_at.is_none())
        {
            let facts = metadata::facts(&metadata::json(&self.transcoder, &packed));
            sighting.progress = facts.progress;
            sighting.started_at = facts.started_at;
            sighting.target = facts.target;
            if facts.cancel_requested {
                sighting.observation = Observation::CancelRequested;
            }
            sighting.metadata = Some(packed);
        }
        if !it.done {
            return Ok(sighting);
        }
        sighting.observation = match it.result {
            // Some services say no more than that it is done.
            None => Observation::Succeeded,
            Some(operation::Result::Response(response)) => {
                sighting.response = response.encode_to_vec();
                Observation::Succeeded
            }
            Some(operation::Result::Error(error)) => {
                let cancelled = error.code == CANCELLED;
                sighting.error = Some(error);
                if cancelled { Observation::Cancelled } else { Observation::Failed }
            }
        };
        Ok(sighting)
    }

    fn list(&self, parent: &str, token: &str) -> Option<Ask> {
        let request = longrunning::ListOperationsRequest {
            name: parent.to_owned(),
            filter: OPEN.to_owned(),
            page_size: PAGE_SIZE,
            page_token: token.to_owned(),
            return_partial_success: false,
        };
        Some(Ask {
            path: path("/google.longrunning.Operations/ListOperations"),
            message: request.encode_to_vec().into(),
            routing: Some(("name", parent.to_owned())),
        })
    }

    fn read_page(&self, message: &[u8]) -> Result<Listed> {
        let page: longrunning::ListOperationsResponse = decode(message)?;
        let items = page.operations.into_iter().map(|it| (it.name.clone(), it.encode_to_vec())).collect();
        Ok(Listed { items, next: page.next_page_token })
    }

    fn cancel(&self, operation: &Operation) -> Result<Ask> {
        let name = operation.upstream_name.clone();
        Ok(Ask {
            path: path("/google.longrunning.Operations/CancelOperation"),
            message: longrunning::CancelOperationRequest { name: name.clone() }.encode_to_vec().into(),
            routing: Some(("name", name)),
        })
    }
}
