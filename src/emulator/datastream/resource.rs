//! What the four stored kinds of resource have in common: connection profiles, streams, private connections, routes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prost_types::Any;
use tonic::Status;

use super::{
    filter::{Case, Filter},
    pace::wire,
    refusal::{invalid, not_found, pack},
    shapes::Described,
    world::World,
};
use crate::{
    emulator::paging::{Ask, Page, page},
    pb::google::cloud::datastream::v1::{ConnectionProfile, PrivateConnection, Route, Stream},
};

/// Most labels of a resource.
const LABELS_MAX: usize = 64;
/// Most resources of one kind kept at a time.
const SHELF_MAX: usize = 2000;

/// Resources of one kind by name.
pub(super) type Shelf<T> = BTreeMap<String, T>;

/// A kind of stored resource.
pub(super) trait Resource: Described + Clone + Send + 'static {
    /// Collections of its names.
    const COLLECTIONS: &'static [&'static str];

    fn name(&self) -> &str;
    fn display_name(&self) -> &str;
    fn labels(&self) -> &std::collections::HashMap<String, String>;
    /// Returns the name of its state; empty for kinds without one.
    fn state_name(&self) -> &'static str;
    fn created(&self) -> Option<prost_types::Timestamp>;
    /// Sets what only the service sets: name, creation and change time.
    fn stamp(&mut self, name: &str, created: Option<prost_types::Timestamp>, updated: Timestamp);
    fn shelf(world: &World) -> &Shelf<Self>;
    fn shelf_mut(world: &mut World) -> &mut Shelf<Self>;

    /// Packs the resource as the response of an operation.
    fn to_any(&self) -> Any {
        pack(Self::TYPE, self)
    }

    /// Checks what every kind demands of what a caller sends.
    fn check_common(&self, field: &str) -> Result<(), Status> {
        if self.display_name().is_empty() {
            return Err(invalid(&format!("{field}.display_name"), "is required"));
        }
        if self.labels().len() > LABELS_MAX {
            return Err(invalid(&format!("{field}.labels"), format!("holds more than {LABELS_MAX} labels")));
        }
        Ok(())
    }
}

macro_rules! resources {
    ($($kind:ident, $shelf:ident, $collections:expr, |$it:ident| $state:expr;)*) => {$(
        impl Described for $kind {
            const TYPE: &'static str = concat!("google.cloud.datastream.v1.", stringify!($kind));
            const KIND: &'static str = stringify!($kind);
        }

        impl Resource for $kind {
            const COLLECTIONS: &'static [&'static str] = $collections;

            fn name(&self) -> &str {
                &self.name
            }

            fn display_name(&self) -> &str {
                &self.display_name
            }

            fn labels(&self) -> &std::collections::HashMap<String, String> {
                &self.labels
            }

            fn state_name(&self) -> &'static str {
                let $it = self;
                $state
            }

            fn created(&self) -> Option<prost_types::Timestamp> {
                self.create_time
            }

            fn stamp(&mut self, name: &str, created: Option<prost_types::Timestamp>, updated: Timestamp) {
                self.name = name.to_owned();
                self.create_time = created.or_else(|| Some(wire(updated)));
                self.update_time = Some(wire(updated));
            }

            fn shelf(world: &World) -> &Shelf<Self> {
                &world.$shelf
            }

            fn shelf_mut(world: &mut World) -> &mut Shelf<Self> {
                &mut world.$shelf
            }
        }
    )*};
}

resources! {
    ConnectionProfile, profiles, &["projects", "locations", "connectionProfiles"], |_it| "";
    Stream, streams, &["projects", "locations", "streams"], |it| it.state().as_str_name();
    PrivateConnection, private_connections, &["projects", "locations", "privateConnections"], |it| it.state().as_str_name();
    Route, routes, &["projects", "locations", "privateConnections", "routes"], |_it| "";
}

/// What a list request of any kind says.
pub(super) struct ListRequest {
    pub(super) parent: String,
    pub(super) page_size: i32,
    pub(super) page_token: String,
    pub(super) filter: String,
    pub(super) order_by: String,
}

/// Returns a resource, or says that there is none.
pub(super) fn get<T: Resource>(world: &World, field: &str, name: &str) -> Result<T, Status> {
    super::name::check(field, name, T::COLLECTIONS)?;
    T::shelf(world).get(name).cloned().ok_or_else(|| not_found(T::KIND, name))
}

/// Checks the name of a parent of such resources.
pub(super) fn check_parent<T: Resource>(parent: &str) -> Result<(), Status> {
    super::name::check("parent", parent, &T::COLLECTIONS[..T::COLLECTIONS.len() - 1])
}

/// Returns one page of the resources under a parent.
pub(super) fn list<T: Resource>(world: &World, request: &ListRequest) -> Result<(Vec<T>, String), Status> {
    check_parent::<T>(&request.parent)?;
    let filter = Filter::parse(
        &request.filter,
        &["name", "displayName", "display_name", "labels", "state"],
        Case::Matters,
    )?;
    let mut items: Vec<&T> =
        children::<T>(world, &request.parent).filter(|it| filter.matches(|f| read(*it, f))).collect();
    order(&mut items, &request.order_by)?;
    let list = [T::KIND, &request.parent, &request.filter, &request.order_by].join("\n");
    let ask = Ask { size: request.page_size, token: &request.page_token, list: &list };
    let items = items.into_iter().map(|it| (it.name(), it));
    let page = if request.order_by.trim().is_empty() {
        cut(world, &ask, items)
    } else {
        cut_sorted(world, &ask, items)
    };
    page.map(|page| (page.items.into_iter().cloned().collect(), page.next))
}

/// Cuts one page out of a list in the order of names.
pub(super) fn cut<'a, T: 'a>(
    world: &World,
    ask: &Ask<'_>,
    items: impl Iterator<Item = (&'a str, T)> + 'a,
) -> Result<Page<T>, Status> {
    page(world.page_sizes, ask, |last| match last.map(str::to_owned) {
        Some(last) => Box::new(items.skip_while(move |(name, _)| *name <= last.as_str())),
        None => Box::new(items),
    })
}

/// Cuts one page out of a list in any order; if the last item of the page before is gone, nothing follows.
fn cut_sorted<'a, T: 'a>(
    world: &World,
    ask: &Ask<'_>,
    items: impl Iterator<Item = (&'a str, T)> + 'a,
) -> Result<Page<T>, Status> {
    page(world.page_sizes, ask, |last| match last.map(str::to_owned) {
        Some(last) => Box::new(items.skip_while(move |(name, _)| *name != last).skip(1)),
        None => Box::new(items),
    })
}

/// Returns the resources directly or further below `parent`.
pub(super) fn children<'a, T: Resource>(world: &'a World, parent: &str) -> impl Iterator<Item = &'a T> {
    let prefix = format!("{parent}/");
    T::shelf(world)
        .range(prefix.clone()..)
        .map_while(move |(name, it)| name.starts_with(&prefix).then_some(it))
}

/// Refuses another resource of a kind when the store is full.
pub(super) fn check_room<T: Resource>(world: &World) -> Result<(), Status> {
    if T::shelf(world).len() < SHELF_MAX {
        return Ok(());
    }
    Err(super::refusal::quota(T::KIND, &format!("at most {SHELF_MAX} resources of a kind are kept here")))
}

fn read<T: Resource>(it: &T, field: &str) -> Option<String> {
    match field {
        "name" => Some(it.name().to_owned()),
        "displayName" | "display_name" => Some(it.display_name().to_owned()),
        "state" => Some(it.state_name().to_owned()).filter(|state| !state.is_empty()),
        _ => it.labels().get(field.strip_prefix("labels.")?).cloned(),
    }
}

fn order<T: Resource>(items: &mut [&T], by: &str) -> Result<(), Status> {
    let mut keys: Vec<&str> = by.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
    // Sorting is stable: applied from the last key to the first, the first decides.
    keys.reverse();
    for key in keys {
        let (field, descending) = match key.split_once(' ') {
            Some((field, order)) if order.trim() == "desc" => (field, true),
            Some((field, order)) if order.trim() == "asc" => (field, false),
            Some(_) => return Err(invalid("order_by", format!("{key:?} is not a field with asc or desc"))),
            None => (key, false),
        };
        match field {
            "name" => items.sort_by(|a, b| a.name().cmp(b.name())),
            "displayName" | "display_name" => items.sort_by(|a, b| a.display_name().cmp(b.display_name())),
            "createTime" | "create_time" => {
                items.sort_by_key(|it| it.created().map(|at| (at.seconds, at.nanos)));
            }
            "state" => items.sort_by_key(|it| it.state_name()),
            _ => return Err(invalid("order_by", format!("unknown field {field:?}"))),
        }
        if descending {
            items.reverse();
        }
    }
    Ok(())
}
