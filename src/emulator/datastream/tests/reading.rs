use v1::source_object_identifier::{MysqlObjectIdentifier, PostgresqlObjectIdentifier, SourceIdentifier};

use super::*;
use crate::pb::google::cloud::location::{
    GetLocationRequest, ListLocationsRequest, locations_server::Locations as _,
};

async fn objects(
    story: &Story,
    page_size: i32,
    page_token: &str,
) -> Result<v1::ListStreamObjectsResponse, Status> {
    let request = v1::ListStreamObjectsRequest {
        parent: format!("{HOME}/streams/shop-to-bigquery"),
        page_size,
        page_token: page_token.to_owned(),
    };
    Ok(story.datastream.list_stream_objects(Request::new(request)).await?.into_inner())
}

async fn lookup(story: &Story, identifier: Option<SourceIdentifier>) -> Result<StreamObject, Status> {
    let request = v1::LookupStreamObjectRequest {
        parent: format!("{HOME}/streams/shop-to-bigquery"),
        source_object_identifier: Some(v1::SourceObjectIdentifier { source_identifier: identifier }),
    };
    Ok(story.datastream.lookup_stream_object(Request::new(request)).await?.into_inner())
}

#[tokio::test]
async fn acme_has_a_few_dozen_objects_in_every_state() {
    let story = Story::begin();
    let mut states = Vec::new();
    for stream in ["shop-to-bigquery", "help-desk-to-bigquery", "erp-to-lake", "shop-archive"] {
        let request =
            v1::ListStreamObjectsRequest { parent: format!("{HOME}/streams/{stream}"), ..Default::default() };
        let answer =
            story.datastream.list_stream_objects(Request::new(request)).await.expect("a page").into_inner();
        states.extend(answer.stream_objects.iter().filter_map(|it| Some(it.backfill_job.as_ref()?.state())));
    }
    assert!(states.len() > 24, "{}", states.len());
    let all = [
        JobState::NotStarted,
        JobState::Active,
        JobState::Failed,
        JobState::Completed,
        JobState::Unsupported,
    ];
    for state in all {
        assert!(states.contains(&state), "{state:?}");
    }
}

#[tokio::test]
async fn objects_come_in_pages_that_add_up() {
    let story = Story::begin();
    let all: Vec<String> =
        objects(&story, 0, "").await.expect("a page").stream_objects.into_iter().map(|it| it.name).collect();
    let (mut seen, mut token) = (Vec::new(), String::new());
    for size in [5, 1, 1000] {
        let page = objects(&story, size, &token).await.expect("a page");
        seen.extend(page.stream_objects.into_iter().map(|it| it.name));
        token = page.next_page_token;
    }
    assert_eq!((seen, token.as_str()), (all, ""));
    assert_eq!(wrong_field(&objects(&story, -1, "").await.expect_err("negative")), "page_size");
    assert_eq!(wrong_field(&objects(&story, 5, "forged").await.expect_err("forged")), "page_token");
}

#[tokio::test]
async fn an_object_is_found_by_its_name_in_the_source() {
    let story = Story::begin();
    let table = |schema: &str, table: &str| {
        let (schema, table) = (schema.to_owned(), table.to_owned());
        Some(SourceIdentifier::PostgresqlIdentifier(PostgresqlObjectIdentifier { schema, table }))
    };
    let found = lookup(&story, table("public", "orders")).await.expect("it is there");
    assert_eq!(found.display_name, "public.orders");
    let absent = lookup(&story, table("PUBLIC", "nothing")).await.expect_err("absent");
    let stream = format!("{HOME}/streams/shop-to-bigquery");
    assert_eq!(
        (absent.code(), absent.message()),
        (Code::NotFound, &*format!("Not found: StreamObject schema PUBLIC, table nothing of {stream}"))
    );
    let mysql = MysqlObjectIdentifier { database: "public".to_owned(), table: "orders".to_owned() };
    for wrong in [None, Some(SourceIdentifier::MysqlIdentifier(mysql))] {
        let refused = lookup(&story, wrong).await.expect_err("not an identifier of this source");
        assert_eq!(wrong_field(&refused), "source_object_identifier");
    }
}

#[tokio::test]
async fn streams_are_filtered_and_ordered() {
    let story = Story::begin();
    let list = async |filter: &str, order_by: &str| {
        let request = v1::ListStreamsRequest {
            parent: HOME.to_owned(),
            filter: filter.to_owned(),
            order_by: order_by.to_owned(),
            page_size: 2,
            ..Default::default()
        };
        let answer = story.datastream.list_streams(Request::new(request)).await?.into_inner();
        let names = answer.streams.iter().map(|it| super::super::name::last_segment(&it.name).to_owned());
        Ok::<_, Status>(names.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(list("", "").await.expect("a page"), "erp-to-lake help-desk-to-bigquery");
    assert_eq!(list("", "name desc").await.expect("a page"), "shop-to-bigquery shop-archive");
    assert_eq!(list("state = PAUSED", "").await.expect("a page"), "shop-archive");
    assert_eq!(
        list("labels.env = prod AND -state = RUNNING", "display_name desc").await.expect("a page"),
        "shop-archive erp-to-lake"
    );
    assert_eq!(wrong_field(&list("", "nonsense").await.expect_err("no such field")), "order_by");
}

#[tokio::test]
async fn a_source_is_looked_into_as_deep_as_asked() {
    use v1::discover_connection_profile_request::{DataObject, Hierarchy, Target};
    let story = Story::begin();
    let discover = async |data_object: Option<DataObject>, hierarchy: Option<Hierarchy>| {
        let target = Some(Target::ConnectionProfileName(format!("{HOME}/connectionProfiles/shop-postgres")));
        let request =
            v1::DiscoverConnectionProfileRequest { parent: HOME.to_owned(), target, data_object, hierarchy };
        let answer = story.datastream.discover_connection_profile(Request::new(request)).await?.into_inner();
        let Some(v1::discover_connection_profile_response::DataObject::PostgresqlRdbms(found)) =
            answer.data_object
        else {
            panic!("PostgreSQL answers in its own terms")
        };
        Ok::<_, Status>(found.postgresql_schemas)
    };
    let schemas = discover(None, None).await.expect("schemas");
    assert_eq!(schemas.iter().map(|it| it.schema.as_str()).collect::<Vec<_>>(), ["public", "billing"]);
    assert!(schemas[0].postgresql_tables.is_empty());

    let full = discover(None, Some(Hierarchy::FullHierarchy(true))).await.expect("everything");
    let column = &full[0].postgresql_tables[0].postgresql_columns[0];
    assert_eq!((column.column.as_str(), column.primary_key, column.ordinal_position), ("id", true, 1));

    let billing = v1::PostgresqlSchema { schema: "billing".to_owned(), ..Default::default() };
    let billing = v1::PostgresqlRdbms { postgresql_schemas: vec![billing] };
    let tables =
        discover(Some(DataObject::PostgresqlRdbms(billing)), None).await.expect("tables of one schema");
    assert_eq!((tables.len(), tables[0].postgresql_tables.len()), (1, 4));
    assert!(tables[0].postgresql_tables[0].postgresql_columns.is_empty());

    let other = DataObject::MysqlRdbms(v1::MysqlRdbms::default());
    assert_eq!(wrong_field(&discover(Some(other), None).await.expect_err("another kind")), "data_object");
}

#[tokio::test]
async fn locations_and_their_addresses_are_known() {
    let story = Story::begin();
    let list = ListLocationsRequest { name: "projects/acme-data".to_owned(), ..Default::default() };
    let locations =
        story.datastream.list_locations(Request::new(list)).await.expect("a page").into_inner().locations;
    assert!(locations.iter().any(|it| it.name == HOME && it.location_id == "europe-west1"));
    let name = "projects/acme-data/locations/atlantis".to_owned();
    let nowhere = story.datastream.get_location(Request::new(GetLocationRequest { name })).await;
    assert_eq!(nowhere.expect_err("no such place").code(), Code::NotFound);

    let request = v1::FetchStaticIpsRequest { name: HOME.to_owned(), page_size: 3, ..Default::default() };
    let ips = story.datastream.fetch_static_ips(Request::new(request)).await.expect("addresses").into_inner();
    assert_eq!(ips.static_ips.len(), 3);
    assert!(!ips.next_page_token.is_empty());
}
