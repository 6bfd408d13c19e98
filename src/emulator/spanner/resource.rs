//! What the stored kinds of resource have in common: configurations, instances, partitions, databases, backups, schedules.

use std::collections::BTreeMap;

use prost_types::Any;
use tonic::Status;

use super::{
    filter::{Case, Filter},
    name,
    refusal::{not_found, pack, quota},
    shapes::Described,
    world::World,
};
use crate::{
    emulator::{
        PageSizes,
        paging::{Ask, Page, page},
    },
    pb::google::spanner::admin::{
        database::v1::{Backup, BackupSchedule, Database},
        instance::v1::{Instance, InstanceConfig, InstancePartition},
    },
};

/// Most resources of one kind kept at a time.
const SHELF_MAX: usize = 2000;

/// Resources of one kind by name.
pub(super) type Shelf<T> = BTreeMap<String, T>;

/// A kind of stored resource.
pub(super) trait Resource: Described + Clone + Send + 'static {
    /// Collections of its names.
    const COLLECTIONS: &'static [&'static str];

    fn shelf(world: &World) -> &Shelf<Self>;

    /// Packs the resource as the response of an operation.
    fn to_any(&self) -> Any {
        pack(Self::TYPE, self)
    }
}

macro_rules! resources {
    ($($kind:ident, $shelf:ident, $package:literal, $collections:expr;)*) => {$(
        impl Described for $kind {
            const TYPE: &'static str = concat!("google.spanner.admin.", $package, ".v1.", stringify!($kind));
            const KIND: &'static str = stringify!($kind);
        }

        impl Resource for $kind {
            const COLLECTIONS: &'static [&'static str] = $collections;

            fn shelf(world: &World) -> &Shelf<Self> {
                &world.$shelf
            }
        }
    )*};
}

resources! {
    InstanceConfig, configs, "instance", &["projects", "instanceConfigs"];
    Instance, instances, "instance", &["projects", "instances"];
    InstancePartition, partitions, "instance", &["projects", "instances", "instancePartitions"];
    Database, databases, "database", &["projects", "instances", "databases"];
    Backup, backups, "database", &["projects", "instances", "backups"];
    BackupSchedule, schedules, "database", &["projects", "instances", "databases", "backupSchedules"];
}

/// Returns a resource, or says that there is none.
pub(super) fn get<'w, T: Resource>(world: &'w World, field: &str, name: &str) -> Result<&'w T, Status> {
    name::check(field, name, T::COLLECTIONS)?;
    T::shelf(world).get(name).ok_or_else(|| not_found(T::KIND, name))
}

/// Checks the name of a parent of such resources.
pub(super) fn check_parent<T: Resource>(parent: &str) -> Result<(), Status> {
    name::check("parent", parent, &T::COLLECTIONS[..T::COLLECTIONS.len() - 1])
}

/// Refuses another resource of a kind when the store is full.
pub(super) fn check_room<T: Resource>(world: &World) -> Result<(), Status> {
    if T::shelf(world).len() < SHELF_MAX {
        return Ok(());
    }
    Err(quota(T::KIND, &format!("at most {SHELF_MAX} resources of a kind are kept here")))
}

/// Returns the resources directly or further below `parent`, in the order of their names.
pub(super) fn children<'w, T: Resource>(
    world: &'w World,
    parent: &str,
) -> impl Iterator<Item = (&'w str, &'w T)> + use<'w, T> {
    let prefix = format!("{parent}/");
    T::shelf(world)
        .range(prefix.clone()..)
        .map_while(move |(name, it)| name.starts_with(&prefix).then_some((name.as_str(), it)))
}

/// What every list request says.
#[derive(Default)]
pub(super) struct ListRequest<'r> {
    pub(super) parent: &'r str,
    pub(super) size: i32,
    pub(super) token: &'r str,
    pub(super) filter: &'r str,
}

impl<'r> ListRequest<'r> {
    /// Cuts one page out of items that are sorted by their keys. No size and no sensible one mean the largest page.
    pub(super) fn cut<T>(
        &self,
        world: &World,
        kind: &str,
        items: impl IntoIterator<Item = (String, T)>,
    ) -> Result<(Vec<T>, String), Status> {
        let list = [kind, self.parent, self.filter].join("\n");
        let ask = Ask { size: self.size.max(0), token: self.token, list: &list };
        let sizes = PageSizes { default: world.page_sizes.max, max: world.page_sizes.max };
        let (keys, mut items): (Vec<String>, Vec<Option<T>>) =
            items.into_iter().map(|(key, item)| (key, Some(item))).unzip();
        let Page { items: places, next } = page(sizes, &ask, |last| {
            let start = last.map_or(0, |last| keys.partition_point(|key| key.as_str() <= last));
            Box::new(keys.iter().enumerate().skip(start).map(|(place, key)| (key.as_str(), place)))
        })?;
        Ok((places.into_iter().filter_map(|place| items[place].take()).collect(), next))
    }

    /// Keeps what matches the filter.
    pub(super) fn keep<'i, T: Described + 'i>(
        &self,
        world: &World,
        roots: &[&str],
        items: impl Iterator<Item = (String, T)> + 'i,
    ) -> Result<Vec<(String, T)>, Status> {
        let filter = Filter::parse(self.filter, roots, Case::Ignored)?;
        if self.filter.trim().is_empty() {
            return Ok(items.collect());
        }
        let mut kept = Vec::new();
        for (key, item) in items {
            let read = world.reader.read(&item)?;
            if filter.matches(|field| read.field(field)) {
                kept.push((key, item));
            }
        }
        Ok(kept)
    }
}
