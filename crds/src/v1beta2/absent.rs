//! Zeros that stand for nothing: Go's encoder writes an empty text, or a quantity of 0, for a field
//! that its program has left out.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Deserializer};

use crate::quantity::amount;

/// A text, unless it is empty.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let given = Option::<String>::deserialize(from)?;
    Ok(given.filter(|text| !text.is_empty()))
}

/// A text, or where it is empty the default.
pub(crate) fn text_or<'de, D: Deserializer<'de>>(
    from: D,
    default: &str,
) -> Result<String, D::Error> {
    Ok(text(from)?.unwrap_or_else(|| default.to_owned()))
}

/// A quantity, or where it is 0 the default.
pub(crate) fn quantity_or<'de, D: Deserializer<'de>>(
    from: D,
    default: &str,
) -> Result<Quantity, D::Error> {
    let given = Option::<Quantity>::deserialize(from)?;
    let given = given.filter(|given| !amount(&given.0).is_some_and(|amount| amount == 0.0));
    Ok(given.unwrap_or_else(|| Quantity(default.to_owned())))
}

/// Readers of texts with a default.
macro_rules! texts_or {
    ($($name:ident: $default:expr),+ $(,)?) => {$(
        fn $name<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
            crate::v1beta2::absent::text_or(from, $default)
        }
    )+};
}
pub(crate) use texts_or;
