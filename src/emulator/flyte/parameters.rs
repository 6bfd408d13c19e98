//! Which inputs of a task become parameters of its query.
//!
//! The connector asks the task's interface, not the values: with no inputs declared, all values are left out in silence.

use std::collections::{BTreeSet, HashMap};

use super::exception::{Exception, repr};
use crate::pb::flyteidl::core::{
    Literal, LiteralMap, LiteralType, SimpleType, TypedInterface, Variable, literal, literal_type::Type,
    primitive, scalar,
};

/// A type of Python's that an input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Python {
    Int,
    Float,
    Str,
    Bool,
    Datetime,
    /// Any other: no type of BigQuery stands for it. Holds how Python shows it.
    Other(&'static str),
}

/// Returns the names of the parameters.
///
/// # Errors
/// What Python raises: a type it does not know, a value of another type, a value that was not declared, a type that
/// BigQuery has no parameters of.
pub(super) fn of(
    interface: Option<&TypedInterface>,
    values: Option<&LiteralMap>,
) -> Result<BTreeSet<String>, Exception> {
    let nothing = HashMap::new();
    let declared = interface.and_then(|it| it.inputs.as_ref()).map_or(&nothing, |inputs| &inputs.variables);
    let types = declared
        .iter()
        .map(|(name, variable)| Ok((name.as_str(), python(variable)?)))
        .collect::<Result<HashMap<_, _>, _>>()?;
    let Some(values) = values.filter(|_| !types.is_empty()) else { return Ok(BTreeSet::new()) };
    let (given, allowed) = (values.literals.len(), types.len());
    if given > allowed {
        let message = format!("Received more input values {given} than allowed by the input spec {allowed}");
        return Err(Exception::new("ValueError", message));
    }
    for (name, value) in &values.literals {
        let python = types.get(name.as_str()).ok_or_else(|| Exception::key(repr(name)))?;
        if !takes(*python, value) {
            let message =
                format!("Error converting input '{name}':\nExpected Python type: {}", python.shown());
            return Err(Exception::new("flytekit.core.type_engine.TypeTransformerFailedError", message));
        }
    }
    for name in values.literals.keys() {
        if let Some(Python::Other(shown)) = types.get(name.as_str()) {
            return Err(Exception::key(*shown));
        }
    }
    Ok(values.literals.keys().cloned().collect())
}

/// Finds the type of Python's that stands for a declared one.
fn python(variable: &Variable) -> Result<Python, Exception> {
    let r#type = variable.r#type.as_ref().and_then(|it: &LiteralType| it.r#type.as_ref());
    let unknown = |shown: &str| {
        let message = format!(
            "No transformers could reverse Flyte literal type Flyte Serialized object (LiteralType):\n  {shown}"
        );
        Exception::new("ValueError", message)
    };
    Ok(match r#type.ok_or_else(|| unknown(""))? {
        Type::Simple(simple) => match SimpleType::try_from(*simple) {
            Ok(SimpleType::Integer) => Python::Int,
            Ok(SimpleType::Float) => Python::Float,
            Ok(SimpleType::String) => Python::Str,
            Ok(SimpleType::Boolean) => Python::Bool,
            Ok(SimpleType::Datetime) => Python::Datetime,
            Ok(SimpleType::Duration) => Python::Other("<class 'datetime.timedelta'>"),
            Ok(SimpleType::None) => Python::Other("<class 'NoneType'>"),
            Ok(SimpleType::Struct) => Python::Other("<class 'dict'>"),
            Ok(SimpleType::Error) => Python::Other("<class 'flytekit.types.error.error.FlyteError'>"),
            Ok(SimpleType::Binary) | Err(_) => return Err(unknown(&format!("simple: {simple}"))),
        },
        Type::CollectionType(_) => Python::Other("typing.List"),
        Type::MapValueType(_) => Python::Other("typing.Dict"),
        Type::EnumType(_) => Python::Other("<enum 'DynamicEnum'>"),
        Type::UnionType(_) => Python::Other("typing.Union"),
        Type::Blob(_) => Python::Other("<class 'flytekit.types.file.file.FlyteFile'>"),
        Type::Schema(_) => Python::Other("<class 'flytekit.types.schema.types.FlyteSchema'>"),
        Type::StructuredDatasetType(_) => {
            Python::Other("<class 'flytekit.types.structured.structured_dataset.StructuredDataset'>")
        }
    })
}

/// Whether a value can be read as the type. Numbers are, as the other kind of number; what is refused later anyway is
/// let through.
fn takes(python: Python, value: &Literal) -> bool {
    let primitive = match &value.value {
        Some(literal::Value::Scalar(scalar)) => match &scalar.value {
            Some(scalar::Value::Primitive(primitive)) => primitive.value.as_ref(),
            _ => None,
        },
        _ => None,
    };
    matches!(
        (python, primitive),
        (Python::Int | Python::Float, Some(primitive::Value::Integer(_) | primitive::Value::FloatValue(_)))
            | (Python::Str, Some(primitive::Value::StringValue(_)))
            | (Python::Bool, Some(primitive::Value::Boolean(_)))
            | (Python::Datetime, Some(primitive::Value::Datetime(_)))
            | (Python::Other(_), _)
    )
}

impl Python {
    fn shown(self) -> &'static str {
        match self {
            Self::Int => "<class 'int'>",
            Self::Float => "<class 'float'>",
            Self::Str => "<class 'str'>",
            Self::Bool => "<class 'bool'>",
            Self::Datetime => "<class 'datetime.datetime'>",
            Self::Other(shown) => shown,
        }
    }
}
