//! The product's API: types, names, labels, versions and the rules that an object must meet.
//!
//! Nothing here does I/O, and nothing here knows the controller or the plugin. A folder is a version
//! of `k0smotron.io`; kinds of another group get a folder of its name with versions below it.

#![warn(missing_docs)]

pub mod admission;
mod before;
pub mod conditions;
pub mod conversion;
pub mod definitions;
#[cfg(test)]
mod fuzz;
pub mod generate;
pub mod k0s_config;
pub mod k0s_flags;
pub mod labels;
pub mod lookup;
pub mod names;
pub mod policy;
pub mod quantity;
mod schema;
pub mod service_annotations;
pub mod upgrade;
pub mod v1beta1;
pub mod v1beta2;
pub mod validation;
pub mod version;
pub mod volumes;
