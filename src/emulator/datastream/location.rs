//! Where the service is offered, and from which addresses it connects.

use std::{collections::HashMap, sync::Arc};

use tonic::{Request, Response, Status};

use super::{
    Datastream,
    id::LOCATION,
    name::{ancestor, check, last_segment},
    refusal::not_found,
    resource::cut,
};
use crate::{
    emulator::paging::Ask,
    pb::google::cloud::{
        datastream::v1::{FetchStaticIpsRequest, FetchStaticIpsResponse},
        location::{
            GetLocationRequest, ListLocationsRequest, ListLocationsResponse, Location,
            locations_server::Locations,
        },
    },
};

/// Regions and the cities people know them by, in the order of their ids.
const REGIONS: &[(&str, &str)] = &[
    ("asia-northeast1", "Tokyo"),
    ("asia-southeast1", "Singapore"),
    ("europe-west1", "Belgium"),
    ("europe-west3", "Frankfurt"),
    ("us-central1", "Iowa"),
    ("us-east1", "South Carolina"),
];
/// Addresses of every region.
const ADDRESSES: u8 = 5;

#[tonic::async_trait]
impl Locations for Arc<Datastream> {
    async fn list_locations(
        &self,
        request: Request<ListLocationsRequest>,
    ) -> Result<Response<ListLocationsResponse>, Status> {
        let request = request.into_inner();
        check("name", &request.name, &["projects"])?;
        let list = format!("locations of {}", request.name);
        let ask = Ask { size: request.page_size, token: &request.page_token, list: &list };
        let page = cut(&self.world(), &ask, REGIONS.iter().map(|it| (it.0, it)))?;
        let locations = page.items.into_iter().map(|it| location(&request.name, it)).collect();
        Ok(Response::new(ListLocationsResponse { locations, next_page_token: page.next }))
    }

    async fn get_location(&self, request: Request<GetLocationRequest>) -> Result<Response<Location>, Status> {
        let name = request.into_inner().name;
        check("name", &name, LOCATION)?;
        let region = REGIONS
            .iter()
            .find(|it| it.0 == last_segment(&name))
            .ok_or_else(|| not_found("Location", &name))?;
        Ok(Response::new(location(ancestor(&name, 1), region)))
    }
}

/// Lists the addresses that a location connects from.
pub(super) fn static_ips(
    datastream: &Datastream,
    request: &FetchStaticIpsRequest,
) -> Result<FetchStaticIpsResponse, Status> {
    check("name", &request.name, LOCATION)?;
    let region = last_segment(&request.name);
    let place = REGIONS.iter().zip(0_u8..).find(|(it, _)| it.0 == region);
    let (_, place) = place.ok_or_else(|| not_found("Location", &request.name))?;
    // Addresses set aside for documentation: nobody can mistake them for real ones.
    let addresses: Vec<String> =
        (0..ADDRESSES).map(|host| format!("203.0.113.{}", 100 + place * 16 + host)).collect();
    let ask = Ask { size: request.page_size, token: &request.page_token, list: &request.name };
    let page = cut(&datastream.world(), &ask, addresses.iter().map(|it| (it.as_str(), it)))?;
    let static_ips = page.items.into_iter().cloned().collect();
    Ok(FetchStaticIpsResponse { static_ips, next_page_token: page.next })
}

fn location(project: &str, (id, city): &(&str, &str)) -> Location {
    Location {
        name: format!("{project}/locations/{id}"),
        labels: HashMap::from([("cloud.googleapis.com/region".to_owned(), (*id).to_owned())]),
        metadata: None,
        location_id: (*id).to_owned(),
        display_name: (*city).to_owned(),
    }
}
