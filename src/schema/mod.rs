//! What the gateway knows about a service.
mod descriptor;
mod features;
mod field_path;
mod load;
mod path;
pub mod proto;
mod route;
mod template;

pub use descriptor::*;
pub use field_path::{FIELD_PATH_NAMES_MAX, FieldPath};
pub use load::{DESCRIPTOR_SET_BYTES_MAX, LoadError};
pub use path::PATH_SEGMENTS_MAX;
pub use route::{Captures, Found, RouteTable, VISITS_MAX};
pub use template::{Segment, TEMPLATE_SEGMENTS_MAX, Template, TemplateError, VARIABLES_MAX};
