//! How a hosted cluster is reached.

pub mod endpoint;
pub mod service;
