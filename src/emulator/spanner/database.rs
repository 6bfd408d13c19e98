//! Databases: create, protect, drop, and what is shown of them.

use std::time::Duration;

use jiff::Timestamp;
use tonic::Status;

use super::{
    ddl::{self, Statement},
    id, instance,
    metadata::Kind,
    operation::{Operation, Work},
    refusal::{already_exists, gone, invalid, precondition},
    resource::{ListRequest, Resource, check_parent, check_room, children, get},
    schema::{self, Schema},
    shapes::Described as _,
    time::{after, before, read, wire},
    world::World,
};
use crate::pb::google::{
    longrunning, rpc,
    spanner::admin::database::v1::{
        CreateDatabaseRequest, Database, DatabaseDialect, DatabaseRole, EncryptionConfig, EncryptionInfo,
        GetDatabaseDdlResponse, ListDatabaseRolesRequest, ListDatabaseRolesResponse, ListDatabasesRequest,
        ListDatabasesResponse, UpdateDatabaseRequest, database::State, encryption_info::Type,
    },
};

/// Databases that an instance may hold.
const PER_INSTANCE_MAX: usize = 100;
/// How long older versions are kept unless a statement says otherwise.
const RETENTION: &str = "1h";
/// Statements of one request.
pub(super) const STATEMENTS_MAX: usize = 500;
/// Bytes of descriptors in one request.
pub(super) const DESCRIPTORS_BYTES_MAX: usize = 4 << 20;
/// What an update may change.
const CHANGEABLE: &[&str] = &["enable_drop_protection"];

/// Returns a database as it is shown now.
pub(super) fn show(world: &World, field: &str, name: &str, now: Timestamp) -> Result<Database, Status> {
    get::<Database>(world, field, name).map(|database| shown(database, now))
}

/// Lists the databases of an instance.
pub(super) fn list(
    world: &World,
    request: &ListDatabasesRequest,
    now: Timestamp,
) -> Result<ListDatabasesResponse, Status> {
    instance_exists(world, &request.parent)?;
    let list = ListRequest {
        parent: &request.parent,
        size: request.page_size,
        token: &request.page_token,
        filter: "",
    };
    let all =
        children::<Database>(world, &request.parent).map(|(name, it)| (name.to_owned(), shown(it, now)));
    let (databases, next_page_token) = list.cut(world, Database::KIND, all)?;
    Ok(ListDatabasesResponse { databases, next_page_token })
}

/// Creates a database. It is there at once, in state `CREATING`.
pub(super) fn create(
    world: &mut World,
    request: CreateDatabaseRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let dialect = match request.database_dialect() {
        DatabaseDialect::Unspecified => DatabaseDialect::GoogleStandardSql,
        given => given,
    };
    let id = ddl::new_database(&request.create_statement, dialect)?;
    id::check("create_statement", &id, id::DATABASE)?;
    check_limits(&request.extra_statements, &request.proto_descriptors)?;
    if dialect == DatabaseDialect::Postgresql && !request.extra_statements.is_empty() {
        return Err(invalid("extra_statements", "cannot be given for a database of PostgreSQL's dialect"));
    }
    let target = new_target(world, &request.parent, &id)?;
    let statements: Vec<Statement> =
        request.extra_statements.iter().map(|text| Statement::parse(text)).collect::<Result<_, _>>()?;
    let mut schema = Schema { proto_descriptors: request.proto_descriptors.into(), ..Schema::default() };
    let mut database = Database {
        name: target.clone(),
        create_time: Some(wire(now)),
        encryption_info: encryption_info(request.encryption_config.as_ref()),
        encryption_config: request.encryption_config,
        version_retention_period: RETENTION.to_owned(),
        database_dialect: dialect.into(),
        ..Default::default()
    };
    database.set_state(State::Creating);
    // Statements that belong to the creation fail or succeed together with it.
    let mut refusal = world.fate(&target);
    for statement in &statements {
        match schema.now.apply(statement) {
            Ok(()) => schema::configure(&mut database, statement),
            Err(why) => refusal = refusal.or(Some(why)),
        }
    }
    schema.planned = schema.now.clone();
    let due = after(now, world.pace.database);
    let kind = Kind::CreateDatabase { database: target.clone() };
    let work = creation(&target, State::Ready).refused(refusal);
    let shown = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    world.schemas.insert(target.clone(), schema);
    world.databases.insert(target, database);
    Ok(shown)
}

/// Changes the protection of a database against being dropped.
pub(super) fn update(
    world: &mut World,
    request: UpdateDatabaseRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let body = request.database.clone().ok_or_else(|| invalid("database", "is required"))?;
    let target = body.name.clone();
    let old = get::<Database>(world, "database.name", &target)?;
    let paths = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    instance::check_paths("update_mask", paths, CHANGEABLE)?;
    if old.reconciling {
        return Err(precondition("UPDATE_IN_PROGRESS", &target, "is being updated already"));
    }
    let (name, undone) = (target.clone(), target.clone());
    let work = Work::at_the_end(move |world, at| {
        let database = world.databases.get_mut(&name).ok_or_else(|| gone(Database::KIND, &name))?;
        database.enable_drop_protection = body.enable_drop_protection;
        database.reconciling = false;
        Ok(shown(database, at).to_any())
    });
    let work = work
        .or_else(move |world, _| {
            if let Some(database) = world.databases.get_mut(&undone) {
                database.reconciling = false;
            }
        })
        .refused(world.fate(&target));
    let due = after(now, world.pace.database);
    let kind = Kind::UpdateDatabase(request);
    let shown = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    if let Some(database) = world.databases.get_mut(&target) {
        database.reconciling = true;
    }
    Ok(shown)
}

/// Drops a database that is not protected.
pub(super) fn drop(world: &mut World, name: &str) -> Result<(), Status> {
    let database = get::<Database>(world, "database", name)?;
    if database.enable_drop_protection {
        return Err(precondition("DROP_PROTECTION", name, "is protected against being dropped"));
    }
    world.remove_tree(name);
    for backup in world.backups.values_mut() {
        backup.referencing_databases.retain(|it| it != name);
    }
    Ok(())
}

/// Returns the schema of a database, without what is still being changed.
pub(super) fn statements(world: &World, name: &str) -> Result<GetDatabaseDdlResponse, Status> {
    let database = get::<Database>(world, "database", name)?;
    if database.state() == State::Creating {
        return Err(precondition("DATABASE_NOT_READY", name, "is still being created"));
    }
    let schema = world.schemas.get(name).cloned().unwrap_or_default();
    Ok(GetDatabaseDdlResponse {
        statements: schema.now.texts(),
        proto_descriptors: schema.proto_descriptors.into(),
    })
}

/// Lists the roles of a database.
pub(super) fn roles(
    world: &World,
    request: &ListDatabaseRolesRequest,
) -> Result<ListDatabaseRolesResponse, Status> {
    get::<Database>(world, "parent", &request.parent)?;
    let schema = world.schemas.get(&request.parent).cloned().unwrap_or_default();
    let name = |role: &str| format!("{}/databaseRoles/{role}", request.parent);
    let mut all: Vec<_> =
        schema.now.roles().map(name).map(|name| (name.clone(), DatabaseRole { name })).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let list = ListRequest {
        parent: &request.parent,
        size: request.page_size,
        token: &request.page_token,
        filter: "",
    };
    let (database_roles, next_page_token) = list.cut(world, "DatabaseRole", all)?;
    Ok(ListDatabaseRolesResponse { database_roles, next_page_token })
}

/// Returns a database that serves.
pub(super) fn serving(world: &World, field: &str, name: &str) -> Result<Database, Status> {
    let database = get::<Database>(world, field, name)?;
    if database.state() == State::Creating {
        return Err(precondition("DATABASE_NOT_READY", name, "is still being created"));
    }
    Ok(database.clone())
}

/// Checks that a database can be created in an instance and returns its name.
pub(super) fn new_target(world: &World, parent: &str, id: &str) -> Result<String, Status> {
    check_parent::<Database>(parent)?;
    instance::ready(world, "parent", parent)?;
    let target = format!("{parent}/databases/{id}");
    if world.databases.contains_key(&target) {
        return Err(already_exists(Database::KIND, &target));
    }
    if children::<Database>(world, parent).count() >= PER_INSTANCE_MAX {
        let most = format!("{PER_INSTANCE_MAX} databases per instance");
        return Err(super::refusal::quota(parent, &most));
    }
    check_room::<Database>(world)?;
    Ok(target)
}

/// What a creation or restoration does to a database that is there already: makes it serve, or removes it.
pub(super) fn creation(target: &str, state: State) -> Work {
    let (name, undone) = (target.to_owned(), target.to_owned());
    let work = Work::at_the_end(move |world, at| {
        let database = world.databases.get_mut(&name).ok_or_else(|| gone(Database::KIND, &name))?;
        database.set_state(state);
        Ok(shown(database, at).to_any())
    });
    work.or_else(move |world, _| world.remove_tree(&undone)).undone_at_once()
}

/// Refuses requests with more statements or descriptors than are kept.
pub(super) fn check_limits(statements: &[String], descriptors: &[u8]) -> Result<(), Status> {
    if statements.len() > STATEMENTS_MAX {
        return Err(invalid("statements", format!("holds more than {STATEMENTS_MAX} statements")));
    }
    if descriptors.len() > DESCRIPTORS_BYTES_MAX {
        return Err(invalid("proto_descriptors", format!("is larger than {DESCRIPTORS_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Tells how something is encrypted, key by key.
pub(super) fn encryption_info(config: Option<&EncryptionConfig>) -> Vec<EncryptionInfo> {
    let keys = config.map(|it| std::iter::once(&it.kms_key_name).chain(&it.kms_key_names));
    let keys = keys.into_iter().flatten().filter(|key| !key.is_empty());
    let ok = || Some(rpc::Status::default());
    let own: Vec<_> = keys
        .map(|key| EncryptionInfo {
            encryption_type: Type::CustomerManagedEncryption.into(),
            encryption_status: ok(),
            kms_key_version: format!("{key}/cryptoKeyVersions/1"),
        })
        .collect();
    if !own.is_empty() {
        return own;
    }
    vec![EncryptionInfo { encryption_type: Type::GoogleDefaultEncryption.into(), ..Default::default() }]
}

/// Checks that an instance exists.
pub(super) fn instance_exists(world: &World, name: &str) -> Result<(), Status> {
    get::<crate::pb::google::spanner::admin::instance::v1::Instance>(world, "parent", name).map(|_| ())
}

/// Returns a database with what follows from the time.
pub(super) fn shown(database: &Database, now: Timestamp) -> Database {
    let mut shown = database.clone();
    let kept = schema::period(&database.version_retention_period).unwrap_or(Duration::from_secs(3600));
    let created = database.create_time.as_ref().and_then(read).unwrap_or(now);
    shown.earliest_version_time = Some(wire(before(now, kept).max(created)));
    shown
}
